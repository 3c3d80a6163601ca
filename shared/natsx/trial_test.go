package natsx

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrial: what is handed on is kept while it may be refused, within bounds, and no longer.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var connection atomic.Uint64
		o := &Onward{reconnects: connection.Load}
		keep := func(n int) {
			for i := range n {
				o.try(handedOn{reply: "r" + strconv.Itoa(i)})
			}
		}
		failed := func(want int, when string) {
			t.Helper()
			if got := len(o.fail()); got != want {
				t.Errorf("%s: %d are to be answered, want %d", when, got, want)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		keep(3)
		pass(trialTakes - time.Nanosecond)
		failed(3, "at the end")
		failed(0, "once more")

		keep(2)
		pass(2 * time.Nanosecond) // the end of the trial before is none of this one
		failed(2, "in the next")

		keep(maxTrial + 1)
		failed(maxTrial, "too many")

		keep(5)
		pass(trialTakes)
		keep(5)
		failed(0, "after it passed")
		keep(4)
		failed(4, "when it may not be any more")

		keep(5)
		pass(trialTakes)
		connection.Add(1) // perhaps with other permissions
		keep(2)
		failed(2, "on another connection")

		keep(5)
		connection.Add(1)
		pass(trialTakes)
		keep(1)
		failed(1, "after a trial that a reconnect broke off")
	})
}
