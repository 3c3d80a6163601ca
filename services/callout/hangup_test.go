package callout

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

func TestKickBody(t *testing.T) {
	if got := string(kickBody(18446744073709551615)); got != `{"cid":18446744073709551615}` {
		t.Error(got)
	}
}

func TestHangUpAnswers(t *testing.T) {
	for _, row := range []struct {
		name    string
		message *nats.Msg
		refused int64
	}{
		{"done", &nats.Msg{Data: []byte(`{"server":{"id":"N"}}`)}, 0},
		{"connection gone", &nats.Msg{Data: []byte(`{"server":{"id":"N"},"error":{"code":500,"description":"no such client or leafnode id"}}`)}, 1},
		{"nobody listens", &nats.Msg{Header: nats.Header{"Status": {"503"}}}, 1},
		{"noise", &nats.Msg{Data: []byte("x")}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := &hangups{}
			h.answered(row.message)
			if got := h.refused.Load(); got != row.refused {
				t.Errorf("%d refused, want %d", got, row.refused)
			}
		})
	}
}

// The permission to hang up opens nothing else of the system account.
func TestCalloutUserInTheSystemAccount(t *testing.T) {
	top := natstest.Hardened(t, false)
	s := top.Run(t)
	conn, err := natsx.Connect(top.NATS(wire.QueueCallout, s), wire.QueueCallout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &hangups{conn: conn, subjects: must(wire.NewSubjects(""))}
	if err := h.probe(t.Context(), conn.Conn, conn.ConnectedServerId()); err != nil {
		t.Fatalf("no right to hang up: %v", err)
	}
	for _, subject := range []string{
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER." + s.ID() + ".VARZ", "$SYS.REQ.SERVER." + s.ID() + ".RELOAD", "$SYS.REQ.SERVER." + s.ID() + ".KICK",
		"$SYS.REQ.SERVER." + s.ID() + ".LDM", "$SYS.REQ.ACCOUNT.PING.CONNZ", "auth.kick." + s.ID() + ".x",
	} {
		if m, err := conn.Request(subject, []byte(`{}`), 200*time.Millisecond); err == nil {
			t.Errorf("%s answered %d bytes", subject, len(m.Data))
		}
	}
}

// A server without the import has nobody who answers, and the probe says so.
func TestProbeWithoutTheImport(t *testing.T) {
	top := natstest.Reference(t)
	s := top.Run(t)
	nc := natstest.Connect(t, s, nats.UserInfo(natstest.ServiceUser, natstest.ServiceUser))
	h := &hangups{conn: nc, subjects: must(wire.NewSubjects(""))}
	if err := h.probe(t.Context(), nc, nc.ConnectedServerId()); err == nil {
		t.Fatal("the probe found a right")
	}
	// A client in the same account that answers in the server's place is not believed.
	if _, err := nc.Subscribe("auth.kick.*", func(m *nats.Msg) { _ = m.Respond([]byte(`{"server":{"id":"NX"},"error":{}}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := h.probe(t.Context(), nc, nc.ConnectedServerId()); err == nil {
		t.Fatal("the probe believed another")
	}
}

// TestRightIsFoundSoon: a server that was too busy to answer is asked again within seconds, and not at the next regular look.
func TestRightIsFoundSoon(t *testing.T) {
	s := natstest.Run(t, "")
	nc := natstest.Connect(t, s)
	var asked atomic.Int32
	system := natstest.Connect(t, s)
	if _, err := system.Subscribe("auth.kick."+s.ID(), func(m *nats.Msg) {
		if asked.Add(1) > 2 {
			_ = m.Respond([]byte(`{"server":{"id":"` + s.ID() + `"},"error":{"description":"no such client"}}`))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := system.Flush(); err != nil {
		t.Fatal(err)
	}
	h := &hangups{conn: nc, subjects: must(wire.NewSubjects(""))}
	if h.look(t.Context(), nc, true, zap.NewNop()) || h.mode() != modeSilence {
		t.Fatalf("sure of a right that nobody answered for; mode %s", h.mode())
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { h.watch(ctx, nc, zap.NewNop()) })
	natstest.Eventually(t, "the right is found", func() bool { return h.mode() == modeKick })
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}
