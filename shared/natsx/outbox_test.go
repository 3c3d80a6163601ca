package natsx

import (
	"testing"
	"testing/synctest"
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// TestOutboxForgetsCallsThatEnded: calls that end while they wait for company send nothing, and leave nothing that later
// ones would wait for. There is no connection: whatever is sent ends the test.
func TestOutboxForgetsCallsThatEnded(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			in := &inbox{prefix: "_AUTH_INBOX.x.", calls: map[string]*pending{}, batches: map[string]*sent{}}
			o := newOutbox(nil, in)
			o.busy = uncrowded // so many messages are on their way that what comes waits
			var calls []*pending
			for range n {
				p := in.open()
				calls = append(calls, p)
				if err := o.send("auth.v1.token.check", waiting{p, "id", nil, time.Now().Add(time.Second)}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range calls {
				in.close(p)
			}
			time.Sleep(2 * linger)
			synctest.Wait()
			if o.busy != uncrowded || len(o.waiting) != 0 || len(in.batches) != 0 {
				t.Errorf("%d calls: %d messages under way, want %d; %d wait, %d batches are expected", n, o.busy, uncrowded, len(o.waiting), len(in.batches))
			}
		})
	}
}

// TestBudgetThatIsOver: it goes out as one that is over, and not as none, which a receiver takes for the default.
func TestBudgetThatIsOver(t *testing.T) {
	m := single("s", "r", "id", -time.Second, nil)
	if got := m.Header.Get(wire.HeaderBudget); got != "0" {
		t.Errorf("budget %q, want 0", got)
	}
	if got := headerBudget(&Request{Header: map[string][]string(m.Header)}); got != 0 {
		t.Errorf("read as %v, want 0", got)
	}
}
