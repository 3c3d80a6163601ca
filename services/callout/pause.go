package callout

import (
	"sync/atomic"
	"time"
)

// How long tokencheck is not asked to hand on.
const (
	// afterSilence: after what was to be handed on got no answer. Who asks policy itself is told at once when nobody serves it.
	afterSilence = time.Second
	// afterEarlierRelease: after an answer of a policy that does not know wire.HandedOn.
	afterEarlierRelease = time.Minute
)

// pause is the time in which tokencheck is not asked to hand on. When it is over one login tries, and the others wait for what becomes of
// it. Safe for concurrent use.
type pause struct {
	since time.Time    // a moment before any use; what is measured from it does not depend on the wall clock
	until atomic.Int64 // nanoseconds after since; 0 for no pause
}

// trial is the pause that a login set for the others while it tries, 0 for a login that does not try.
type trial int64

// over says whether to ask for handing on. The login to which it gives a trial says with end, next or extend what became of it; should it
// not, another tries after afterSilence.
func (p *pause) over() (ok bool, try trial) {
	until := p.until.Load()
	if until == 0 {
		return true, 0
	}
	now := time.Since(p.since)
	if int64(now) < until {
		return false, 0
	}
	try = trial(now + afterSilence)
	return p.until.CompareAndSwap(until, int64(try)), try
}

// end ends the pause, unless another login extended it meanwhile.
func (p *pause) end(try trial) {
	if try != 0 {
		p.until.CompareAndSwap(int64(try), 0)
	}
}

// next lets the next login try at once, unless another extended the pause meanwhile.
func (p *pause) next(try trial) {
	if try != 0 {
		p.until.CompareAndSwap(int64(try), 1)
	}
}

// extend makes the pause last at least this long from now.
func (p *pause) extend(lasts time.Duration) {
	until := int64(time.Since(p.since) + lasts)
	for {
		before := p.until.Load()
		if until <= before || p.until.CompareAndSwap(before, until) {
			return
		}
	}
}
