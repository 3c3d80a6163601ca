package natsx

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// Onward is where requests are handed on to: a subject at which somebody else answers them. It needs the permission to publish there,
// which shows only when a message is refused; what was handed on in the first while is answered by this side then. Safe for
// concurrent use.
type Onward struct {
	subject    string
	reconnects func() uint64
	permission *Permission

	// proven is the connection, plus 1, on which nothing was refused for a while; another may have other permissions.
	proven atomic.Uint64
	mu     sync.Mutex // guards trial and what is written to proven, held for a look
	trial  *trial     // nil while none is under way
}

// trial is the while after the first request that is handed on, in which it is not known whether it may be.
type trial struct {
	connection uint64
	requests   []handedOn
}

// handedOn is a request that was handed on, and what to answer should that be refused.
type handedOn struct {
	reply     string
	otherwise []byte
}

const (
	// trialTakes is longer than a refusal takes.
	trialTakes = time.Second
	// maxTrial bounds the requests of one trial. Beyond it the requester asks again.
	maxTrial = 1024
)

var errReplyOfServer = errors.New("nats-server lets no client name this reply subject")

// Onward returns the way to subject. refused is called, in place of the log, with the first refusal of each connection.
func (c *Conn) Onward(subject string, refused func(error)) *Onward {
	o := &Onward{subject: subject, reconnects: func() uint64 { return c.Stats().Reconnects }}
	o.permission = c.Permission(subject, func(err error, first bool) {
		for _, h := range o.fail() {
			_ = c.PublishMsg(&nats.Msg{Subject: h.reply, Data: h.otherwise}) // when that fails, nothing else arrives either
		}
		if first {
			refused(err)
		}
	})
	return o
}

// Open reports whether what is handed on now may arrive.
func (o *Onward) Open() bool { return o.permission.Held() }

// HandOn sends data onward as this request, whose requester then has its answer from there: its ID, its place for the reply and what
// is left of its budget go along. ctx is the handler's. It fails with wire.OutOfTime when too little time is left for the way, and with
// another error when the request has no place for a reply, or one that only nats-server may name, as behind a gateway, or data could not be
// sent; the request is then still to be answered. It is nil, and nothing is sent, for a request that was answered before. otherwise is the
// answer should the server refuse data; it may be kept for a while and must not be changed.
func (r *Request) HandOn(ctx context.Context, o *Onward, data, otherwise []byte) error {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline) - hopShave
	switch {
	case r.answered.Load():
		return nil
	case left <= 0:
		return wire.Fail(wire.OutOfTime, "", nil)
	case r.reply == "":
		return nats.ErrMsgNoReply
	case ofServer(r.reply):
		return errReplyOfServer
	case r.answered.Swap(true):
		return nil
	}
	m := newMessage(o.subject, r.reply+wire.HandedOnReply, r.ID, left, data)
	r.span.Inject(m.Header)
	o.try(handedOn{r.reply, otherwise})
	err := r.endpoint.publish(m)
	r.answered.Store(err == nil)
	return err
}

// try keeps h while it is not known whether it may be handed on.
func (o *Onward) try(h handedOn) {
	connection := o.reconnects()
	if o.proven.Load() == connection+1 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trial == nil || o.trial.connection < connection {
		t := &trial{connection: connection}
		o.trial = t
		time.AfterFunc(trialTakes, func() { o.pass(t) })
	}
	if len(o.trial.requests) < maxTrial {
		o.trial.requests = append(o.trial.requests, h)
	}
}

// pass ends t, unless it failed before.
func (o *Onward) pass(t *trial) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trial == t {
		o.trial = nil
		if o.reconnects() == t.connection {
			o.proven.Store(t.connection + 1)
		}
	}
}

// fail ends the trial and returns what is to be answered. What arrived all the same has two answers then, of which its requester takes
// the first.
func (o *Onward) fail() []handedOn {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.proven.Store(0)
	t := o.trial
	o.trial = nil
	if t == nil {
		return nil
	}
	return t.requests
}
