package callout

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// connections are the callout's two. nats-server reads what comes on one connection one after the other, and takes long over each
// answer to a login. What is not a login has its own connection therefore: a hang-up that waited behind answers would find its client
// gone, and answers would wait behind records.
type connections struct {
	// logins has requests and answers, and the calls to the neighbours: what goes on before an answer waits with the answers, so that
	// admission learns of it.
	logins *natsx.Conn
	// aside has hang-ups, decision records and what nats-server says of failed logins. It does not hear its own records.
	aside *natsx.Conn
}

// asideName is the second connection's name in the server's listings.
const asideName = wire.QueueCallout + "-aside"

// connect returns at once; the connections may come up later. The caller closes them.
func (s *Service) connect() (c connections, err error) {
	if c.logins, err = natsx.Connect(s.cfg.NATS, wire.QueueCallout, s.deps.Log, s.deps.NATSOptions...); err != nil {
		return connections{}, err
	}
	own := append([]nats.Option{nats.Name(asideName), nats.NoEcho()}, s.deps.NATSOptions...)
	if c.aside, err = natsx.Connect(s.cfg.NATS, wire.QueueCallout, s.deps.Log.With(zap.String("connection", "aside")), own...); err != nil {
		c.logins.Close()
		return connections{}, err
	}
	return c, nil
}

// maxUnheardBytes bounds, for each subscription aside, what has arrived and is not taken in yet. nats-server's events have what the
// client sent, which may be large; beyond the bound they are dropped.
const maxUnheardBytes = 8 << 20

// hear subscribes aside; queue is empty for all replicas.
func hear(aside *natsx.Conn, subject, queue string, take nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := aside.QueueSubscribe(subject, queue, take)
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, maxUnheardBytes); err != nil {
		return nil, errors.Join(err, sub.Unsubscribe())
	}
	return sub, nil
}

func (c connections) close() {
	c.aside.Close()
	c.logins.Close()
}

// waitConnected returns nil once both are up, ctx's error when that ends first, and natsx.ErrConnectionLost when one never will be.
func (c connections) waitConnected(ctx context.Context) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan error, 2)
	for _, one := range []*natsx.Conn{c.logins, c.aside} {
		go func() { results <- one.WaitConnected(waiting) }()
	}
	for range cap(results) {
		switch err := <-results; {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return natsx.ErrConnectionLost
		}
	}
	return nil
}
