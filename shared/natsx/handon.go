package natsx

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// Onward is where requests are handed on to: a subject at which somebody else answers them. It needs the permission to publish there,
// which shows only when a message is refused; what was on its way by then is answered by this side. Safe for concurrent use.
type Onward struct {
	conn       *Conn
	subject    string
	permission *Permission

	mu     sync.Mutex // guards the rest, held for a look
	recent []handedOn // ring, the next at next
	next   int
}

// handedOn is a request that was handed on, and what to answer should that be refused.
type handedOn struct {
	reply     string
	otherwise []byte
	at        time.Time
}

const (
	// maxRecent bounds the requests for which a refusal can come: those on their way to the server. Beyond it the requester
	// asks again.
	maxRecent = 256
	// refusalTakes is how old a request may be that a refusal is about; an older one has arrived, or nobody waits for it.
	refusalTakes = time.Second
)

// Onward returns the way to subject. refused is called, in place of the log, with the first refusal of each connection.
func (c *Conn) Onward(subject string, refused func(error)) *Onward {
	o := &Onward{conn: c, subject: subject, recent: make([]handedOn, 0, maxRecent)}
	o.permission = c.Permission(subject, func(err error, first bool) {
		o.answer(time.Now())
		if first {
			refused(err)
		}
	})
	return o
}

// Open reports whether what is handed on now may arrive.
func (o *Onward) Open() bool { return o.permission.Held() }

// HandOn sends data onward as this request, whose requester then has its answer from there: its ID, its place for the reply and what
// is left of its budget go along. ctx is the handler's. It fails when it could not be sent, or too little time is left for the
// way; the request is then still to be answered. otherwise is the answer should the server refuse data; it is kept for a while and
// must not be changed.
func (r *Request) HandOn(ctx context.Context, o *Onward, data, otherwise []byte) error {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline) - hopShave
	if left <= 0 {
		return wire.Fail(wire.OutOfTime, "", nil)
	}
	if r.answered.Swap(true) {
		return nil
	}
	m := newMessage(o.subject, r.reply, r.ID, left, data)
	r.span.Inject(m.Header)
	o.keep(handedOn{r.reply, otherwise, time.Now()})
	err := r.endpoint.publish(m)
	r.answered.Store(err == nil)
	return err
}

func (o *Onward) keep(h handedOn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) < maxRecent {
		o.recent = append(o.recent, h)
		return
	}
	o.recent[o.next] = h
	o.next = (o.next + 1) % maxRecent
}

// answer answers what was handed on shortly before now. One that arrived all the same has two answers then, of which its requester
// takes the first.
func (o *Onward) answer(now time.Time) {
	o.mu.Lock()
	recent := o.recent
	o.recent, o.next = make([]handedOn, 0, maxRecent), 0
	o.mu.Unlock()
	for _, h := range recent {
		if h.reply != "" && now.Sub(h.at) <= refusalTakes {
			_ = o.conn.PublishMsg(&nats.Msg{Subject: h.reply, Data: h.otherwise}) // when that fails, nothing else arrives either
		}
	}
}
