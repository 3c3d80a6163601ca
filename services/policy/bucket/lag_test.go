package bucket

import "testing"

// looksUntilAnew returns after how many looks a watch begins anew that brings nothing, while other keys are written.
func looksUntilAnew(l *lag, bucket *uint64) int {
	l.begin(*bucket, false)
	for looks := 1; looks < 100; looks++ {
		*bucket++
		if l.behind(*bucket) {
			return looks
		}
	}
	return 0
}

// TestLagOfASharedBucket: busy keys that nobody watches have the watch begin anew more and more seldom; news of the watched
// ones end that.
func TestLagOfASharedBucket(t *testing.T) {
	l, bucket := &lag{}, uint64(10)
	for round, want := range []int{2, 3, 5, 9, 17, 17} {
		if got := looksUntilAnew(l, &bucket); got != want {
			t.Errorf("round %d: anew after %d looks, want %d", round, got, want)
		}
	}
	l.begin(bucket, false)
	l.brought(8)
	if got := l.patience; got != 1 {
		t.Errorf("patience %d after news", got)
	}
	if got := looksUntilAnew(l, &bucket); got != 2 {
		t.Errorf("anew after %d looks, want 2", got)
	}
	l.begin(bucket, false)
	l.brought(8)
	if l.fresh {
		t.Error("what was known is news")
	}
	l.begin(1, true)
	if l.brought(1); !l.fresh {
		t.Error("the first revision of a new bucket is no news")
	}
}

// TestLagOfALostWatch: a watch that worked and brings nothing of what is written is begun anew at the second look.
func TestLagOfALostWatch(t *testing.T) {
	l := &lag{}
	l.begin(0, false)
	for revision := uint64(1); revision < 5; revision++ {
		l.brought(revision)
		if l.behind(revision) {
			t.Fatal("behind while it delivers")
		}
	}
	if l.behind(6) {
		t.Error("behind before there was time to deliver")
	}
	if !l.behind(6) {
		t.Error("not behind after a look in vain")
	}
}
