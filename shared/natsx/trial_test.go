package natsx

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrial: what is handed on is kept while it may be refused, within bounds, and no longer.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &Onward{}
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
		o.try(handedOn{}) // nobody waits for it
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
	})
}
