package callout

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/run"
	"harmony.internal/authcallout/shared/trace"
)

// Program is the process.
func Program() run.Program[*Config] {
	return run.Program[*Config]{
		Name:        "callout",
		Description: "answers nats-server's authorization requests and signs user JWTs",
		NewConfig:   func() *Config { return &Config{} },
		Log:         func(c *Config) logx.Config { return c.Log },
		Monitor:     func(c *Config) monitor.Config { return c.Monitor },
		Serve: func(ctx context.Context, c *Config, log *zap.Logger) error {
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			tracer, err := trace.FromEnvironment(ctx, trace.About{Service: "callout", Version: run.Version})
			if err != nil {
				return err
			}
			defer tracer.Stop()
			s, err := New(c, Deps{Log: log, Version: run.Version, Hangup: hangup, Trace: tracer})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}
}
