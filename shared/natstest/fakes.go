package natstest

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// FakeTokencheck answers as script says: with what it returns, or with nothing when it returns neither. It ends with the
// test. Each request runs in a goroutine of its own, so that script may block.
func FakeTokencheck(t testing.TB, nc *nats.Conn, script func(*wire.CheckRequest) (*wire.Verified, *wire.Error)) {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	serveFake(t, nc, subjects.TokenCheck(), wire.QueueTokencheck, wire.MaxCheckRequestBytes, script)
}

// FakePolicy is FakeTokencheck for policy.
func FakePolicy(t testing.TB, nc *nats.Conn, script func(*wire.DecideRequest) (*wire.Grant, *wire.Error)) {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	serveFake(t, nc, subjects.PolicyDecide(), wire.QueuePolicy, wire.MaxDecideRequestBytes, script)
}

func serveFake[Q, A wire.Message](t testing.TB, nc *nats.Conn, subject, queue string, maxBytes int, script func(*Q) (*A, *wire.Error)) {
	t.Helper()
	_, err := nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		go answer(t, m, maxBytes, script)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
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
