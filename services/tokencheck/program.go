package tokencheck

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/run"
	"harmony.internal/authcallout/shared/trace"
)

// Program is the process.
func Program() run.Program[*Config] {
	return run.Program[*Config]{
		Name:        "tokencheck",
		Description: "validates the access tokens of OpenID Connect issuers",
		NewConfig:   func() *Config { return &Config{} },
		Log:         func(c *Config) logx.Config { return c.Log },
		Monitor:     func(c *Config) monitor.Config { return c.Monitor },
		Probe:       probe,
		Serve: func(ctx context.Context, c *Config, log *zap.Logger) error {
			tracer, err := trace.FromEnvironment(ctx, trace.About{Service: "tokencheck", Version: run.Version})
			if err != nil {
				return err
			}
			defer tracer.Stop()
			s, err := New(c, Deps{Log: log, Version: run.Version, Trace: tracer})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}
}

// probe fetches every issuer's keys once, all at the same time, asks those that are asked about tokens about one that is none,
// and reports what is wrong with each.
func probe(ctx context.Context, cfg *Config) error {
	errs := make([]error, len(cfg.Issuers))
	var probing sync.WaitGroup
	for i := range cfg.Issuers {
		probing.Go(func() {
			if err := probeIssuer(ctx, &cfg.Issuers[i]); err != nil {
				errs[i] = fmt.Errorf("issuers[%d] %s: %w", i, cfg.Issuers[i].Issuer, err)
			}
		})
	}
	probing.Wait()
	return errors.Join(errs...)
}

func probeIssuer(ctx context.Context, cfg *IssuerConfig) error {
	fetch, err := newFetcher(cfg, time.Now)
	if err != nil {
		return err
	}
	if _, _, err := fetch.keys(ctx); err != nil {
		return err
	}
	if cfg.Introspect == introspectNever {
		return nil
	}
	ask, err := newIntrospector(cfg, fetch, time.Now, zap.NewNop())
	if err != nil {
		return err
	}
	if _, fail := ask.ask(ctx, "probe-"+rand.Text(), true); fail != nil {
		return fmt.Errorf("introspection: %w", fail)
	}
	return nil
}
