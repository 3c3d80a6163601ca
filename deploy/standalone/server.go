package standalone

import (
	"errors"
	"fmt"
	"sync"
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
	bridge := &serverLog{log: log.Named("nats-server").Sugar()}
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

// serverLog hands the server's log to zap. What the server calls fatal is kept as the reason for not starting; its own
// logger would end the process there.
type serverLog struct {
	log *zap.SugaredLogger

	mu   sync.Mutex // guards last
	last error
}

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) { l.log.Infof(format, v...) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.log.Warnf(format, v...) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.log.Errorf(format, v...) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.log.Debugf(format, v...) }

// Tracef implements server.Logger.
func (l *serverLog) Tracef(format string, v ...any) { l.log.Debugf(format, v...) }

// Fatalf implements server.Logger.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.last = fmt.Errorf(format, v...)
	l.mu.Unlock()
	l.log.Errorf(format, v...)
}
