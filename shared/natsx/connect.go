package natsx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// The connection's times. A service that is cut off is useless, so it comes back fast; the jitter keeps the replicas of
// one fleet apart. A dead peer is noticed after two pings without an answer.
const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	connectTimeout  = 5 * time.Second
	pingInterval    = 10 * time.Second
	pingsOut        = 2
	drainTimeout    = 10 * time.Second
)

const inboxRoot = "_AUTH_INBOX."

// InboxPrefix returns the prefix of all reply subjects of the service named name. It lies outside _INBOX, which
// devices are granted where they share an account with the services (DESIGN P7).
func InboxPrefix(name string) string { return inboxRoot + name }

// Conn is a connection with the project's options: unlimited reconnects with jitter, retry on failed first connect, an
// inbox prefix of its own outside _INBOX (DESIGN P7). While it is down, publishing fails at once: what would be sent
// after the reconnect would come too late.
//
// Two authorization errors in a row from one server close it for good: wrong credentials do not heal by themselves, and
// an exit says so louder than a log.
type Conn struct {
	*nats.Conn

	lost     chan struct{}
	closing  chan struct{}
	closeNow sync.Once
	meter    meter
	refusals refusals
}

// Connect returns at once; the connection may come up later. extra is for in-process connections. It fails when a file
// that cfg names cannot be read.
func Connect(cfg Config, name string, log *zap.Logger, extra ...nats.Option) (*Conn, error) {
	cfg.SetDefaults()
	auth, err := authentication(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	c := &Conn{lost: make(chan struct{}), closing: make(chan struct{})}
	options := append([]nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(InboxPrefix(name)),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectBufSize(-1),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.DrainTimeout(drainTimeout),
	}, c.handlers(log)...)
	options = append(options, auth...)
	options = append(options, cfg.TLS.options()...)
	options = append(options, extra...)
	if c.Conn, err = nats.Connect(strings.Join(cfg.URLs, ","), options...); err != nil {
		return nil, fmt.Errorf("nats: connect: %w", err)
	}
	return c, nil
}

// options reads the files again at every connect.
func (t *TLS) options() []nats.Option {
	var options []nats.Option
	if t.ServerName != "" {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}))
	}
	if t.CAFile != "" {
		options = append(options, nats.RootCAs(string(t.CAFile)))
	}
	if t.CertFile != "" {
		options = append(options, nats.ClientCert(string(t.CertFile), string(t.KeyFile)))
	}
	return options
}

// handlers log what happens to the connection, without any credential.
func (c *Conn) handlers(log *zap.Logger) []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected to nats", zap.String("url", nc.ConnectedUrlRedacted()), zap.String("server", nc.ConnectedServerName()))
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if !c.isClosing() {
				log.Warn("disconnected from nats; trying again until it works", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected to nats", zap.String("url", nc.ConnectedUrlRedacted()), zap.String("server", nc.ConnectedServerName()))
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			log.Warn("nats is not reachable; trying again until it is", zap.Error(err))
		}),
		nats.LameDuckModeHandler(func(nc *nats.Conn) {
			log.Info("the nats server is about to stop; moving to another", zap.String("server", nc.ConnectedServerName()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if !c.refusals.tell(err) {
				logAsync(log, sub, err)
			}
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if c.isClosing() {
				return
			}
			log.Error("the connection to nats closed for good", zap.Error(nc.LastError()))
			close(c.lost)
		}),
	}
}

// logAsync logs an error that arrived outside any call.
func logAsync(log *zap.Logger, sub *nats.Subscription, err error) {
	if errors.As(err, new(*counted)) {
		return
	}
	fields := []zap.Field{zap.Error(err)}
	if sub != nil {
		fields = append(fields, zap.String("subject", sub.Subject))
	}
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		log.Error("the nats server refuses a subject to this user; give it the permissions in the documentation", fields...)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		log.Error("the nats server refuses this user; look at its credentials on both sides", fields...)
	case errors.Is(err, nats.ErrSlowConsumer):
		log.Warn("requests arrived faster than they could be taken in; some were dropped", fields...)
	default:
		log.Warn("nats error", fields...)
	}
}

// Lost is closed when the connection closed for good without being asked to; the process must then end non-zero.
func (c *Conn) Lost() <-chan struct{} { return c.lost }

// Close closes the connection without counting it as lost.
func (c *Conn) Close() {
	c.closeNow.Do(func() { close(c.closing) })
	c.Conn.Close()
}

func (c *Conn) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// WaitConnected returns nil once the connection is up, ctx's error when that ends first, and nats.ErrConnectionClosed
// when it never will be.
func (c *Conn) WaitConnected(ctx context.Context) error {
	status := c.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.RemoveStatusListener(status)
	for {
		switch {
		case c.IsConnected():
			return nil
		case c.IsClosed():
			return nats.ErrConnectionClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-status:
		}
	}
}
