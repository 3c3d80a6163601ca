package natstest

import (
	"encoding/json"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// FakeTokencheck answers as script says: with what it returns, or with nothing when it returns neither. It ends with the
// test. Each request runs in a goroutine of its own, so that script may block.
func FakeTokencheck(t testing.TB, nc *nats.Conn, script func(*wire.CheckRequest) (*wire.Verified, *wire.Error)) *Fake {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	return serveFake(t, nc, subjects.TokenCheck(), wire.QueueTokencheck, wire.MaxCheckRequestBytes, script)
}

// FakePolicy is FakeTokencheck for policy.
func FakePolicy(t testing.TB, nc *nats.Conn, script func(*wire.DecideRequest) (*wire.Grant, *wire.Error)) *Fake {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	return serveFake(t, nc, subjects.PolicyDecide(), wire.QueuePolicy, wire.MaxDecideRequestBytes, script)
}

// Fake is a replica of a neighbour. Safe for concurrent use.
type Fake struct {
	sub *nats.Subscription

	mu   sync.Mutex
	seen []*nats.Msg
}

// Requests returns the messages that arrived, in order.
func (f *Fake) Requests() []*nats.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*nats.Msg(nil), f.seen...)
}

// Stop makes the replica leave at once.
func (f *Fake) Stop(t testing.TB) {
	t.Helper()
	if err := f.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
}

func serveFake[Q, A wire.Message](t testing.TB, nc *nats.Conn, subject, queue string, maxBytes int, script func(*Q) (*A, *wire.Error)) *Fake {
	t.Helper()
	f := &Fake{}
	var err error
	f.sub, err = nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		f.mu.Lock()
		f.seen = append(f.seen, m)
		f.mu.Unlock()
		go answer(t, m, maxBytes, script)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return f
}

func answer[Q, A wire.Message](t testing.TB, m *nats.Msg, maxBytes int, script func(*Q) (*A, *wire.Error)) {
	q, err := wire.Decode[Q](m.Data, maxBytes)
	if err != nil {
		respond(m, ErrorReply(wire.Fail(wire.BadRequest, "", err)))
		return
	}
	a, fail := script(q)
	switch {
	case fail != nil:
		respond(m, ErrorReply(fail))
	case a != nil:
		data, err := wire.Encode(a)
		if err != nil {
			t.Errorf("fake on %s: %v", m.Subject, err)
			return
		}
		respond(m, &nats.Msg{Data: data})
	}
}

// ErrorReply returns the error reply of the contract.
func ErrorReply(e *wire.Error) *nats.Msg {
	body, _ := json.Marshal(e) // a struct of plain fields
	return &nats.Msg{
		Header: nats.Header{wire.HeaderErrorCode: {strconv.Itoa(int(e.Code))}, wire.HeaderError: {e.Reason}},
		Data:   body,
	}
}

// respond ignores that the test has closed the connection meanwhile.
func respond(m *nats.Msg, reply *nats.Msg) { _ = m.RespondMsg(reply) }
