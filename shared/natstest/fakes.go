package natstest

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// FakeTokencheck answers as script says: with what it returns, or with nothing when it returns neither. It hands on to policy
// what it is asked to. It ends with the test. Each request runs in a goroutine of its own, so that script may block.
func FakeTokencheck(t testing.TB, nc *nats.Conn, script func(*wire.CheckRequest) (*wire.Verified, *wire.Error)) {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	serveFake(t, nc, subjects.TokenCheck(), wire.QueueTokencheck, wire.MaxCheckRequestBytes, func(m *nats.Msg, q *wire.CheckRequest) {
		v, fail := script(q)
		if fail != nil || v == nil || q.Client == nil {
			answer(t, m, v, fail)
			return
		}
		decide := wire.DecideRequest{Token: *v, Client: *q.Client, HandedOn: &wire.HandedOn{CheckMicros: 1}}
		data, err := wire.Encode(&decide)
		if err != nil {
			t.Errorf("fake on %s: %v", m.Subject, err)
			return
		}
		// It fails when the test has closed the connection meanwhile.
		_ = nc.PublishMsg(&nats.Msg{Subject: subjects.PolicyDecide(), Reply: m.Reply + wire.HandedOnReply, Header: m.Header, Data: data})
	})
}

// FakePolicy is FakeTokencheck for policy.
func FakePolicy(t testing.TB, nc *nats.Conn, script func(*wire.DecideRequest) (*wire.Grant, *wire.Error)) {
	t.Helper()
	subjects, _ := wire.NewSubjects("")
	serveFake(t, nc, subjects.PolicyDecide(), wire.QueuePolicy, wire.MaxDecideRequestBytes, func(m *nats.Msg, q *wire.DecideRequest) {
		g, fail := script(q)
		switch {
		case q.HandedOn == nil:
			answer(t, m, g, fail)
		case fail != nil:
			told := *fail
			told.Verified = q.Answer(nil)
			answer(t, m, g, &told)
		case g != nil:
			answer(t, m, q.Answer(g), nil)
		}
	})
}

func serveFake[Q wire.Message](t testing.TB, nc *nats.Conn, subject, queue string, maxBytes int, do func(*nats.Msg, *Q)) {
	t.Helper()
	_, err := nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		q, err := wire.Decode[Q](m.Data, maxBytes)
		if err != nil {
			respond(m, ErrorReply(wire.Fail(wire.BadRequest, "", err)))
			return
		}
		go do(m, q)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// answer sends a or fail, or nothing when there is neither.
func answer[A wire.Message](t testing.TB, m *nats.Msg, a *A, fail *wire.Error) {
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
