package natsx

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// linger bounds how long a request may wait for company, and with it how long one slow request can hold up another.
const linger = 500 * time.Microsecond

// uncrowded is how many messages may be on their way before requests wait for company. With fewer the wait costs a login more than
// the company saves: at half load on two processors, where some four are on their way, it made up a third of a login's time.
const uncrowded = 12

// aloneFor is how long requests are sent one by one after a replica did not know batches.
const aloneFor = time.Minute

// outbox sends the first attempts of one Caller. While few messages are on their way a request goes out at once, alone. Those
// that come when there are more go out together: when the next sign of life of a message arrives, when linger is over, or
// when there are enough of them. So nothing is delayed while there is little to do, and a busy neighbour gets few and
// large messages. Further attempts, and requests that are traced, go alone and at once.
type outbox struct {
	conn  *Conn
	inbox *inbox
	alone atomic.Int64 // unix nanoseconds until which nothing is batched

	mu      sync.Mutex // guards the rest, held for no message
	busy    int        // messages without a sign of life
	subject string     // of what waits
	waiting []waiting
	bytes   int
	timer   *time.Timer
}

// waiting is a request that waits for company. deadline is when the receiver's budget ends.
type waiting struct {
	call     *pending
	id       string
	data     []byte
	deadline time.Time
}

func newOutbox(c *Conn, in *inbox) *outbox {
	o := &outbox{conn: c, inbox: in}
	in.answered = o.answered
	return o
}

// send sends w or has it wait. It fails when it was sent alone and could not be.
func (o *outbox) send(subject string, w waiting, now time.Time) error {
	size := len(w.data) + batchItemOverhead
	alone := size > wire.MaxBatchBytes || now.UnixNano() < o.alone.Load()
	o.mu.Lock()
	if alone || o.busy < uncrowded && len(o.waiting) == 0 {
		o.busy++
		o.mu.Unlock()
		s := &sent{calls: []*pending{w.call}}
		o.inbox.expect(s)
		err := o.conn.PublishMsg(single(subject, o.inbox.prefix+w.call.id, w.id, w.deadline.Sub(now), w.data))
		if err != nil {
			o.over(s)
		}
		return err
	}
	var full []waiting
	var fullSubject string
	if len(o.waiting) > 0 && (o.subject != subject || o.bytes+size > wire.MaxBatchBytes) {
		full, fullSubject = o.take(), o.subject
	}
	o.subject = subject
	o.waiting = append(o.waiting, w)
	o.bytes += size
	switch {
	case len(o.waiting) == wire.MaxBatchItems:
		if full == nil {
			full, fullSubject = o.take(), subject
		}
	case len(o.waiting) == 1:
		o.arm()
	}
	o.mu.Unlock()
	o.sendBatch(fullSubject, full)
	return nil
}

// batchItemOverhead is what an item's line takes, at most.
const batchItemOverhead = 128

// take empties what waits, and counts it as a message under way. o.mu is held.
func (o *outbox) take() []waiting {
	w := o.waiting
	o.waiting, o.bytes = nil, 0
	o.busy++
	return w
}

func (o *outbox) arm() {
	if o.timer == nil {
		o.timer = time.AfterFunc(linger, o.flush)
		return
	}
	o.timer.Reset(linger)
}

// flush sends what waits.
func (o *outbox) flush() {
	o.mu.Lock()
	if len(o.waiting) == 0 {
		o.mu.Unlock()
		return
	}
	w, subject := o.take(), o.subject
	o.mu.Unlock()
	o.sendBatch(subject, w)
}

// answered takes the first sign of life of a message, or the end of everybody's wait for one.
func (o *outbox) answered(*sent) {
	o.mu.Lock()
	o.busy--
	o.mu.Unlock()
	o.flush()
}

// over ends a message that was not sent.
func (o *outbox) over(s *sent) {
	o.inbox.mu.Lock()
	first := !s.done
	s.done = true
	o.inbox.mu.Unlock()
	if first {
		o.answered(s)
	}
}

func (o *outbox) sendBatch(subject string, list []waiting) {
	if len(list) == 0 {
		return
	}
	now := time.Now()
	s := &sent{calls: make([]*pending, len(list))}
	for i, w := range list {
		s.calls[i] = w.call
	}
	var m *nats.Msg
	if len(list) == 1 {
		w := list[0]
		m = single(subject, o.inbox.prefix+w.call.id, w.id, w.deadline.Sub(now), w.data)
	} else {
		s.id = randomID()
		m = batch(subject, o.inbox.prefix+s.id, list, now)
	}
	if !o.inbox.expect(s) {
		o.over(s)
		return
	}
	if err := o.conn.PublishMsg(m); err != nil {
		for _, p := range s.calls {
			p.put(&nats.Msg{Header: nats.Header{statusHeader: {noResponders}}})
		}
		o.over(s)
	}
}

// single is a message with one request. A receiver takes a budget that is not a duration for none, so what is over goes out
// as 0.
func single(subject, reply, id string, left time.Duration, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Reply: reply, Data: data, Header: nats.Header{
		wire.HeaderBudget:    {strconv.FormatInt(max(0, left.Milliseconds()), 10)},
		wire.HeaderRequestID: {id},
	}}
}

func batch(subject, reply string, list []waiting, now time.Time) *nats.Msg {
	size := 0
	for _, w := range list {
		size += len(w.data) + batchItemOverhead
	}
	body := make([]byte, 0, size)
	for _, w := range list {
		body = wire.AppendBatchRequest(body, &wire.BatchRequest{
			ID: w.call.id, BudgetMillis: max(0, w.deadline.Sub(now).Milliseconds()), RequestID: w.id, Body: w.data,
		})
	}
	return &nats.Msg{Subject: subject, Reply: reply, Data: body, Header: nats.Header{wire.HeaderBatch: {strconv.Itoa(len(list))}}}
}
