package callout

import (
	"strings"
	"testing"
	"time"
)

func TestMisfits(t *testing.T) {
	for _, row := range []struct {
		wait, patience time.Duration
		says           string
	}{
		{2 * time.Second, 2 * time.Second, ""},
		{3 * time.Second, 2 * time.Second, ""},
		{10 * time.Second, 10 * time.Second, ""},
		{2 * time.Second, 2500 * time.Millisecond, ""},
		{time.Second, 2 * time.Second, "raise authorization.timeout to 2s"},
		{2 * time.Second, 5 * time.Second, "raise authorization.timeout to 5s"},
		{10 * time.Second, 2 * time.Second, "lower authorization.timeout to 2s"},
	} {
		got := strings.Join(Misfits(row.wait, row.patience), "; ")
		if (row.says == "") != (got == "") || !strings.Contains(got, row.says) {
			t.Errorf("server %s, clients %s: %q, want %q", row.wait, row.patience, got, row.says)
		}
	}
}

func TestWaits(t *testing.T) {
	var w waits
	see := func(times int, wait time.Duration) (news int) {
		for range times {
			if _, settled := w.see(wait); settled {
				news++
			}
		}
		return news
	}
	if n := see(settleAfter-1, 2*time.Second); n != 0 {
		t.Error("settled early")
	}
	if see(1, 2*time.Second) != 1 || see(100, 2*time.Second) != 0 {
		t.Error("did not settle once")
	}
	for range 100 { // a second begins in between now and then
		if see(1, time.Second)+see(5, 2*time.Second) != 0 {
			t.Fatal("a rounded value counts as a change")
		}
	}
	if see(settleAfter, 5*time.Second) != 1 || w.settled != 5*time.Second {
		t.Error("a reload with another timeout is not seen")
	}
}
