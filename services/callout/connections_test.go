package callout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// heardBy returns what the connection of this name subscribes to, and how many messages of each it was sent.
func (w *world) heardBy(t *testing.T, name string) map[string]int64 {
	t.Helper()
	conns, err := w.server.Connz(&server.ConnzOptions{SubscriptionsDetail: true, Subscriptions: true, Account: w.account()})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(conns.Conns, func(c *server.ConnInfo) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no connection is named %s", name)
	}
	heard := map[string]int64{}
	for _, sub := range conns.Conns[i].SubsDetail {
		heard[sub.Subject] += sub.Msgs
	}
	return heard
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
	heard, logins := w.heardBy(t, asideName), w.heardBy(t, wire.QueueCallout)
	for _, subject := range []string{subjectAuthErrors, must(wire.NewSubjects("")).Decision(outcomeHungUp), w.service.hangups.reply} {
		if _, hears := heard[subject]; !hears {
			t.Errorf("aside hears %v, and not %s", heard, subject)
		}
		if _, hears := logins[subject]; hears {
			t.Errorf("%s is heard where logins are", subject)
		}
	}
	if heard[w.service.hangups.reply] != 1 || heard[wire.SubjectUserAuth] != 0 || logins[wire.SubjectUserAuth] != 1 {
		t.Errorf("aside heard %v, and the connection for logins %v", heard, logins)
	}
	if n := heard[must(wire.NewSubjects("")).Decision(outcomeHungUp)]; n != 0 {
		t.Errorf("aside heard %d records, which are its own", n)
	}
	w.service.witness.mu.Lock()
	defer w.service.witness.mu.Unlock()
	if len(w.service.witness.failures) != 1 {
		t.Errorf("the witness knows of %d failed decisions", len(w.service.witness.failures))
	}
}

// TestAsideIsLost: what was taken on is answered, and then the service ends.
func TestAsideIsLost(t *testing.T) {
	w, release, result := startWorldAtWork(t)
	w.service.hangups.conn.(*nats.Conn).Close()
	natstest.Eventually(t, "no more requests are taken", func() bool {
		_, takes := w.heardBy(t, wire.QueueCallout)[wire.SubjectUserAuth]
		return !takes
	})
	release()
	if err := <-result; err != nil {
		t.Errorf("the login that was under way: %v", err)
	}
	if err := <-w.ended; !errors.Is(err, natsx.ErrConnectionLost) {
		t.Errorf("the service ended with %v", err)
	}
	w.ended <- nil // for whoever waits for the end of every world
}

// TestAsideIsAway: the replica is not ready, asks no server, and says why.
func TestAsideIsAway(t *testing.T) {
	w := startWorld(t, natstest.Hardened(t, false), goodToken)
	conn := w.conn(t)
	conn.Conn.Close()
	if err := w.service.hangups.ask(t.Context(), conn.Conn, w.server.ID()); !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("asked on a connection that is down: %v", err)
	}
	monitor := must(w.service.newMonitor(connections{logins: w.conn(t), aside: conn}))
	var missing []string
	for _, check := range monitor.Ready().Checks {
		if !check.OK && strings.HasPrefix(check.Name, "nats") {
			missing = append(missing, check.Name)
		}
	}
	if !slices.Equal(missing, []string{"nats-aside"}) {
		t.Errorf("%v is missing", missing)
	}
}
