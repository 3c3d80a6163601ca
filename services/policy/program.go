package policy

import (
	"context"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/run"
	"harmony.internal/authcallout/shared/trace"
)

// Program is the process.
func Program() run.Program[*Config] {
	return run.Program[*Config]{
		Name:        "policy",
		Description: "turns verified claims into a grant",
		NewConfig:   func() *Config { return &Config{} },
		Log:         func(c *Config) logx.Config { return c.Log },
		Monitor:     func(c *Config) monitor.Config { return c.Monitor },
		Serve: func(ctx context.Context, c *Config, log *zap.Logger) error {
			tracer, err := trace.FromEnvironment(ctx, trace.About{Service: "policy", Version: run.Version})
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
