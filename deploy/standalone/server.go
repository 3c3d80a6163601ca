package standalone

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

const (
	startTimeout = 30 * time.Second
	startPoll    = 20 * time.Millisecond
)

// startServer returns a server that accepts connections, or why there is none.
func startServer(opts *server.Options, log *zap.Logger) (*server.Server, error) {
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	bridge := &serverLog{log: log.Named("nats-server")}
	if opts.LogFile == "" && !opts.Syslog {
		ns.SetLoggerV2(bridge, opts.Debug, opts.Trace, opts.TraceVerbose)
	} else {
		ns.ConfigureLogger()
	}
	ns.Start()
	for deadline := time.Now().Add(startTimeout); !ns.ReadyForConnections(startPoll); {
		fatal := bridge.fatal()
		if fatal == nil && time.Now().Before(deadline) {
			continue
		}
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, errors.Join(fmt.Errorf("nats-server does not start: look at listen, http and jetstream in %s", ServerFile), fatal)
	}
	return ns, nil
}
