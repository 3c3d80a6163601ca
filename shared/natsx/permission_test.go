package natsx

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPermission: a refusal holds for its connection, and there for a while, and is told once.
func TestPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connection := uint64(0)
		p := newPermission(func() uint64 { return connection })
		held := func(want bool, when string) {
			t.Helper()
			if p.Held() != want {
				t.Errorf("%s: held %v, want %v", when, !want, want)
			}
		}
		refuse := func(first bool) {
			t.Helper()
			if p.lose() != first {
				t.Errorf("first %v, want %v", !first, first)
			}
		}
		held(true, "at first")
		time.Sleep(time.Second)
		refuse(true)
		refuse(false)
		held(false, "refused")
		time.Sleep(askAgain - time.Nanosecond)
		held(false, "a little before it is asked for again")
		time.Sleep(time.Nanosecond)
		held(true, "asked for again")
		held(true, "and not refused")
		refuse(false)
		held(false, "refused again")
		connection++
		held(true, "on a new connection")
		refuse(true)
		held(false, "refused there too")
	})
}
