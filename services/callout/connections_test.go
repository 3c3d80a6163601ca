package callout

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// subjectsOf returns what the connection of this name subscribes to.
func (w *world) subjectsOf(t *testing.T, name string) []string {
	t.Helper()
	conns, err := w.server.Connz(&server.ConnzOptions{Subscriptions: true, Account: w.account()})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(conns.Conns, func(c *server.ConnInfo) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no connection is named %s", name)
	}
	return conns.Conns[i].Subs
}

// TestWhatIsNoLoginGoesAside: requests arrive on one connection; answers to hang-ups, other replicas' decisions and the server's events on
// the other. The first does not hear the hang-ups, and the second not its own records.
func TestWhatIsNoLoginGoesAside(t *testing.T) {
	w := startWorld(t, natstest.Hardened(t, true), func(*wire.CheckRequest) (*wire.Verified, *wire.Error) {
		return nil, wire.Fail(wire.KeySetUnavailable, "", nil)
	})
	records := must(w.conn(t).SubscribeSync(must(wire.NewSubjects("")).Decision("*")))
	if err := w.conn(t).Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect(w.server.ClientURL(), nats.Token(deviceToken)); err == nil || errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("the login ended with %v", err)
	}
	natstest.Eventually(t, "it is hung up on, and the server says that it was", func() bool {
		stats := w.service.stats()
		return stats.HangUpsAsked == 1 && stats.HangUpsRefused == 0 && stats.Published == 1
	})
	if m, err := records.NextMsg(5 * time.Second); err != nil || m.Subject != must(wire.NewSubjects("")).Decision(outcomeHungUp) {
		t.Fatalf("record: %+v, %v", m, err)
	}
	heard := w.subjectsOf(t, asideName)
	for _, subject := range []string{subjectAuthErrors, must(wire.NewSubjects("")).Decision(outcomeHungUp), w.service.hangups.reply} {
		if !slices.Contains(heard, subject) {
			t.Errorf("aside hears %v, and not %s", heard, subject)
		}
		if slices.Contains(w.subjectsOf(t, wire.QueueCallout), subject) {
			t.Errorf("%s is heard where logins are", subject)
		}
	}
	if !slices.Contains(w.subjectsOf(t, wire.QueueCallout), wire.SubjectUserAuth) || slices.Contains(heard, wire.SubjectUserAuth) {
		t.Error("requests do not arrive where logins are")
	}
	w.service.witness.mu.Lock()
	defer w.service.witness.mu.Unlock()
	if len(w.service.witness.failures) != 1 {
		t.Errorf("the witness knows of %d failed decisions", len(w.service.witness.failures))
	}
}
