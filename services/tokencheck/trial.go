package tokencheck

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Trial judges tokens as a replica would, serves nobody and leaves nothing on disk: for whoever wants to know beforehand whether a provider and a
// device's token would work. Safe for concurrent use.
type Trial struct{ verifier *verifier }

// NewTrial fetches the keys of every issuer of a configuration that passed Check. It fails, and names the issuer, when one of
// them cannot be had.
func NewTrial(ctx context.Context, cfg *Config) (*Trial, error) {
	dry := *cfg
	dry.LastGoodDirectory = "" // what a replica keeps is its own
	s, err := New(&dry, Deps{Log: zap.NewNop(), Now: time.Now})
	if err != nil {
		return nil, err
	}
	for name, iss := range s.verifier.issuers {
		if _, err := iss.keys.refresh(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &Trial{verifier: s.verifier}, nil
}

// Issuers shows what was fetched, by issuer.
func (t *Trial) Issuers() map[string]IssuerStats {
	all := make(map[string]IssuerStats, len(t.verifier.issuers))
	for name, iss := range t.verifier.issuers {
		all[name] = iss.stats()
	}
	return all
}

// Explain says how the token would be judged on a connection without a client certificate.
func (t *Trial) Explain(ctx context.Context, token string) *Explanation {
	return t.verifier.explain(ctx, token, "")
}
