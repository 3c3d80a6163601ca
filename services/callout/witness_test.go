package callout

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

func event(server string, cid uint64, reason string) *nats.Msg {
	text := fmt.Sprintf(`{"type":"io.nats.server.advisory.v1.client_disconnect","server":{"id":%q,"name":"n1"},"client":{"id":%d,"host":"192.0.2.7","kind":"Client","client_type":"nats","jwt":"eyJ.secret"},"reason":%q}`,
		server, cid, reason)
	return &nats.Msg{Data: []byte(text)}
}

func record(server string, cid uint64, outcome string) *nats.Msg {
	return &nats.Msg{Data: fmt.Appendf(nil, `{"outcome":%q,"server_id":%q,"cid":%d}`, outcome, server, cid)}
}

func newTestWitness() (*witness, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	log := zap.New(core)
	return newWitness(newPublisher(must(wire.NewSubjects("")), "1.0.0"), log), logs
}

// Events and records join whichever comes first; what has no record is counted, logged and published, without what the
// client sent.
func TestWitnessJoins(t *testing.T) {
	w, logs := newTestWitness()
	w.heard(record("N1", 1, outcomeDenied))
	w.failed(event("N1", 1, "Not Authorized"))
	w.failed(event("N1", 2, "")) // its record comes later
	w.failed(event("N2", 1, "")) // another server's connection of the same number
	w.heard(record("N1", 2, outcomeHungUp))
	w.heard(record("N1", 3, outcomeAdmitted)) // explains no failure
	w.failed(event("N1", 3, ""))
	w.failed(&nats.Msg{Data: []byte("{")})
	w.heard(&nats.Msg{Data: []byte("[]")})

	w.join(time.Now())
	if n := w.counts()[verdict{serverTimeout, noDecision}]; n != 0 {
		t.Errorf("%d were judged before their time", n)
	}
	w.join(time.Now().Add(joinPatience))
	got := w.counts()
	for v, want := range map[verdict]int64{
		{serverRefused, outcomeDenied}: 1, {serverTimeout, outcomeHungUp}: 1, {serverTimeout, noDecision}: 2,
	} {
		if got[v] != want {
			t.Errorf("%v: %d, want %d", v, got[v], want)
		}
	}
	if len(got) != 3 {
		t.Errorf("counted %v", got)
	}
	entries := logs.FilterMessageSnippet("no callout decided").All()
	if len(entries) != 2 || entries[0].ContextMap()[logx.ServerID] != "N2" {
		t.Errorf("logged %v", entries)
	}
	if len(w.publish.queue) != 2 {
		t.Errorf("%d are to be published", len(w.publish.queue))
	}
	if p := <-w.publish.queue; p.outcome != outcomeUnanswered {
		t.Errorf("published as %s", p.outcome)
	}
	for _, e := range logs.All() {
		text, err := json.Marshal(e.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "secret") {
			t.Errorf("a part of the token is in %s", text)
		}
	}
}

func TestWitnessIsBounded(t *testing.T) {
	w, logs := newTestWitness()
	for i := range uint64(maxFailures + 10) {
		w.remember(attempt{"N1", i}, outcomeDenied)
	}
	if len(w.failures) != maxFailures || len(w.order) != maxFailures {
		t.Errorf("%d failures are remembered", len(w.failures))
	}
	if _, known := w.failures[attempt{"N1", 9}]; known {
		t.Error("an old one is")
	}
	const oldest = judgedEarly
	for i := range uint64(maxEvents) {
		w.failed(event("N2", i+1, ""))
	}
	w.remember(attempt{"N2", oldest}, outcomeHungUp)
	w.remember(attempt{"N2", oldest + 1}, outcomeHungUp)
	w.failed(event("N2", maxEvents+1, "")) // for which the oldest make room
	got := w.counts()
	if got[verdict{serverTimeout, noDecision}] != oldest-1 || got[verdict{serverTimeout, outcomeHungUp}] != 1 || len(w.events) != maxEvents-oldest+1 {
		t.Errorf("counted early: %v, and %d wait", got, len(w.events))
	}
	w.join(time.Now().Add(joinPatience))
	if got := w.counts(); got[verdict{serverTimeout, noDecision}] != maxEvents-1 || got[verdict{serverTimeout, outcomeHungUp}] != 2 || len(got) != 2 {
		t.Errorf("counted %v", got)
	}
	if published, dropped := int64(len(w.publish.queue)), w.publish.dropped.Load(); published+dropped != maxEvents-1 {
		t.Errorf("%d are to be published, %d are dropped", published, dropped)
	}
	if n := logs.Len(); n > unansweredBurst+int(joinPatience/unansweredEvery) {
		t.Errorf("%d log entries", n)
	}
}

// TestWitnessIsPermittedLater: what the server refuses at first is watched once it permits it.
func TestWitnessIsPermittedLater(t *testing.T) {
	const conf = `authorization { users: [ { user: auth, password: auth, permissions: {
		publish: ">", subscribe: { allow: ["auth.v1.decision.*", "_AUTH_INBOX.>"%s] } } } ] }`
	opts := natstest.ParseConfig(t, fmt.Sprintf(conf, ""))
	s := natstest.RunOptions(t, opts)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("auth"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, logs := newTestWitness()
	conn := must(natsx.Connect(natsx.Config{URLs: []string{s.ClientURL()}, User: "auth", PasswordFile: config.Path(password)}, wire.QueueCallout, w.log))
	defer conn.Close()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		if err := w.run(ctx, conn, must(wire.NewSubjects(""))); err != nil {
			t.Error(err)
		}
	})
	natstest.Eventually(t, "the server refuses it", func() bool { return logs.FilterMessageSnippet("may not subscribe").Len() == 1 && !w.watching() })

	permitted := natstest.ParseConfig(t, fmt.Sprintf(conf, fmt.Sprintf(", %q", subjectAuthErrors)))
	permitted.ConfigFile, permitted.Port, permitted.StoreDir = opts.ConfigFile, opts.Port, opts.StoreDir
	if err := s.ReloadOptions(permitted); err != nil {
		t.Fatal(err)
	}
	if err := conn.ForceReconnect(); err != nil { // a subscription that was refused is tried again by the next connection
		t.Fatal(err)
	}
	natstest.Eventually(t, "it is watched", w.watching)
}

func FuzzWitness(f *testing.F) {
	f.Add(event("N1", 1, "").Data, record("N1", 1, outcomeSilent).Data)
	f.Fuzz(func(_ *testing.T, e, r []byte) {
		w, _ := newTestWitness()
		w.failed(&nats.Msg{Data: e})
		w.heard(&nats.Msg{Data: r})
		w.join(time.Now().Add(joinPatience))
	})
}
