package natsx

import "time"

// How the number of handlers that may run at once follows what they experience. Under overload every handler is slow,
// and running fewer of them costs no throughput; behind one slow provider most are not, and running more of them keeps
// the slow ones out of the others' way (DESIGN P3, P4). So not the average decides but whether almost all are slow.
const (
	limitWindow = 100 * time.Millisecond
	// limitStart and limitFloor hold unless MaxInFlight is smaller.
	limitStart = 256
	limitFloor = 64
	// slowShare of the budget is what a handler may take before it counts as slow.
	slowShare = 16
	// fewFast: with less than one handler in so many fast, all count as slow.
	fewFast = 10
	// limitMinimumSamples: fewer than this say nothing.
	limitMinimumSamples = 8
)

// limit is how many handlers may run at once.
type limit struct {
	current, floor, ceiling int

	windowEnd  time.Time
	slow, fast int
	// bound says that somebody had to wait in this window; without that the limit has nothing to learn.
	bound bool
	// usual is what a handler takes, smoothed.
	usual time.Duration
}

func newLimit(ceiling int) limit {
	return limit{current: min(ceiling, limitStart), floor: min(ceiling, limitFloor), ceiling: ceiling}
}

// observe learns from one handler that answered after took of its budget.
func (l *limit) observe(took, budget time.Duration, now time.Time) {
	l.usual += (took - l.usual) / 16
	if took > budget/slowShare {
		l.slow++
	} else {
		l.fast++
	}
	if now.Before(l.windowEnd) {
		return
	}
	if all := l.slow + l.fast; all >= limitMinimumSamples {
		switch {
		case !l.bound:
		case l.fast*fewFast < all:
			l.current = max(l.floor, l.current-l.current/4)
		default:
			l.current = min(l.ceiling, l.current+l.current/4+1)
		}
		l.slow, l.fast, l.bound = 0, 0, false
	}
	l.windowEnd = now.Add(limitWindow)
}

// need is what a request must have left to be worth starting: the usual time of a handler, at most a quarter of the
// budget, so that a bad moment cannot shut everybody out.
func (l *limit) need(budget time.Duration) time.Duration { return min(l.usual, budget/4) }
