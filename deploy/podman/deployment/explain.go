package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/services/policy/rules"
	service "harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/wire"
)

// Explain has the services that run say how they would decide about a device's token, step by step. The token goes to
// tokencheck alone, the way a device's does.
func (d *Deployment) Explain(ctx context.Context, c *Config, token string) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	r := &Rendered{}
	if r.Listen, err = listenAddresses(c.Listen, len(m.servers())); err != nil {
		return err
	}
	if r.Certificate, err = c.TLS.certificate(); err != nil {
		return err
	}
	nc, err := d.dialSeed(r, d.State.Files().Operator)
	if err != nil {
		return err
	}
	defer nc.Close()
	subjects, err := wire.NewSubjects("")
	if err != nil {
		return err
	}
	judged, err := ask[service.Explanation](ctx, nc, subjects.TokenExplain(), wire.CheckRequest{Token: token})
	if err != nil {
		return err
	}
	verified, err := d.showJudged(judged, c, token)
	if err != nil {
		return err
	}
	decided, err := ask[rules.Explanation](ctx, nc, subjects.PolicyExplain(), decideRequest(verified))
	if err != nil {
		return err
	}
	return d.showDecided(decided, c)
}

const explainTimeout = 10 * time.Second

func ask[Answer any](ctx context.Context, nc *nats.Conn, subject string, question any) (*Answer, error) {
	data, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%s: no replica serves: make nats DO=\"micro ls\" shows who runs", subject)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", subject, err)
	case m.Header.Get(wire.HeaderError) != "":
		return nil, fmt.Errorf("%s: %s", subject, m.Header.Get(wire.HeaderError))
	}
	answer := new(Answer)
	return answer, json.Unmarshal(m.Data, answer)
}

// decideRequest is what policy is asked about a token on a plain connection.
func decideRequest(v *wire.Verified) *wire.DecideRequest {
	return &wire.DecideRequest{Token: *v, Client: wire.Client{Host: "127.0.0.1", Kind: "Client", Type: "nats"}}
}
