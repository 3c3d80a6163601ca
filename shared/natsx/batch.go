package natsx

import (
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"harmony.internal/authcallout/shared/wire"
)

// replies collects the replies to one batch. They go out together when the last of them is there, and what there is linger
// after the first: a slow one holds up the others no longer than that. Safe for concurrent use.
type replies struct {
	endpoint *endpoint
	subject  string

	mu    sync.Mutex // guards the rest, held for no message; taken before the endpoint's
	left  int        // requests that are not answered
	count int        // items in body
	body  []byte
	armed bool
}

// add takes the reply to one request, which must have none yet. The first starts the time to linger; the last sends what
// there is. A reply that would make the message longer than wire.MaxBatchBytes goes into the next one. An error says that
// a message could not be sent, with which replies to other requests may be lost too: their requesters ask again.
func (b *replies) add(r *wire.BatchReply) error {
	b.mu.Lock()
	var early *nats.Msg
	if b.count > 0 && len(b.body)+len(r.Body)+batchItemOverhead > wire.MaxBatchBytes {
		early = b.take()
	}
	b.body = wire.AppendBatchReply(b.body, r)
	b.count++
	b.left--
	var last *nats.Msg
	if b.left <= 0 {
		last = b.take()
	} else if !b.armed {
		b.armed = true
		b.endpoint.owe()
		time.AfterFunc(linger, b.flush)
	}
	b.mu.Unlock()
	return b.send(early, last)
}

// leave says that one request will not be answered.
func (b *replies) leave() {
	b.mu.Lock()
	b.left--
	var last *nats.Msg
	if b.left <= 0 && b.count > 0 {
		last = b.take()
	}
	b.mu.Unlock()
	_ = b.send(last) // the requester's time ends
}

// flush sends what there is when the time to linger is over. The endpoint is not idle before.
func (b *replies) flush() {
	defer b.endpoint.paid()
	b.mu.Lock()
	b.armed = false
	var m *nats.Msg
	if b.count > 0 {
		m = b.take()
	}
	b.mu.Unlock()
	_ = b.send(m) // the requester's time ends
}

// take returns the message of what is there. b.mu is held.
func (b *replies) take() *nats.Msg {
	m := &nats.Msg{Subject: b.subject, Data: b.body, Header: nats.Header{wire.HeaderBatch: {strconv.Itoa(b.count)}}}
	b.body, b.count = nil, 0
	return m
}

func (b *replies) send(list ...*nats.Msg) error {
	for _, m := range list {
		if m == nil {
			continue
		}
		if err := b.endpoint.publish(m); err != nil {
			return err
		}
	}
	return nil
}

// unpack returns the requests in m, which may be a batch. One that cannot be read is answered here.
func (e *endpoint) unpack(m micro.Request, now time.Time) []*Request {
	header := m.Headers()
	if header.Get(wire.HeaderBatch) == "" {
		return []*Request{{
			ID: header.Get(wire.HeaderRequestID), Subject: m.Subject(), Data: m.Data(), Header: header,
			Received: now, started: now, reply: m.Reply(), endpoint: e,
		}}
	}
	items, err := wire.ReadBatchRequests(m.Data())
	if err != nil {
		r := &Request{Subject: m.Subject(), Received: now, reply: m.Reply(), endpoint: e}
		_ = r.Fail(wire.Fail(wire.BadRequest, "batch", err)) // who asked asks again
		return nil
	}
	answers := &replies{endpoint: e, subject: m.Reply(), left: len(items)}
	requests := make([]Request, len(items))
	list := make([]*Request, len(items))
	for i, item := range items {
		list[i] = &requests[i]
		*list[i] = Request{
			ID: item.RequestID, Subject: m.Subject(), Data: item.Body, Received: now, started: now, endpoint: e,
			replies: answers, item: item.ID, itemBudget: time.Duration(item.BudgetMillis) * time.Millisecond,
		}
	}
	return list
}
