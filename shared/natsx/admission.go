package natsx

import (
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// admission decides which requests are worked on now, which wait and which are given up (DESIGN P4). At most limit
// handlers run; the others wait, at most maxWaiting of them, and the newest is served first, because it has the most
// time left. The oldest is given up when there is no room, and any when its time no longer suffices. It holds no lock
// and no clock.
type admission struct {
	limit      limit
	maxWaiting int

	running int
	// waiting[head:] wait, oldest first.
	waiting []*Request
	head    int
}

// givenUp is a request that was not taken on, and why.
type givenUp struct {
	request *Request
	code    wire.Code
}

func newAdmission(maxInFlight, maxWaiting int) *admission {
	return &admission{limit: newLimit(maxInFlight), maxWaiting: maxWaiting}
}

// offer takes r in. run says that the caller must start its handler now; otherwise it waits or is among gone.
func (a *admission) offer(r *Request, now time.Time) (run bool, gone []givenUp) {
	switch {
	case !a.inTime(r, now):
		return false, []givenUp{{r, wire.OutOfTime}}
	case a.running < a.limit.current:
		a.running++
		return true, nil
	case a.maxWaiting == 0:
		return false, []givenUp{{r, wire.Overloaded}}
	}
	a.limit.bound = true
	if a.count() >= a.maxWaiting {
		gone = append(gone, givenUp{a.popOldest(), wire.Overloaded})
	}
	a.waiting = append(a.waiting, r)
	return false, gone
}

// done ends one handler. answered says that it sent an answer, from which the limit learns. The caller must start the
// handlers of next; all of gone are given up.
func (a *admission) done(r *Request, answered bool, now time.Time) (next []*Request, gone []givenUp) {
	if answered {
		a.limit.observe(now.Sub(r.started), r.budget, now)
	}
	a.running--
	for a.running < a.limit.current && a.count() > 0 {
		r := a.popNewest()
		if !a.inTime(r, now) {
			gone = append(gone, givenUp{r, wire.OutOfTime})
			continue
		}
		r.started = now
		next = append(next, r)
		a.running++
	}
	return next, gone
}

// expire gives up what waits without enough time. wait says when to look again, 0 for when something waits again.
func (a *admission) expire(now time.Time) (gone []givenUp, wait time.Duration) {
	kept := a.waiting[:0]
	for _, r := range a.waiting[a.head:] {
		left := r.deadline.Sub(now) - a.limit.need(r.budget)
		if left <= 0 {
			gone = append(gone, givenUp{r, wire.OutOfTime})
			continue
		}
		kept = append(kept, r)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	clear(a.waiting[len(kept):])
	a.waiting, a.head = kept, 0
	return gone, wait
}

func (a *admission) inTime(r *Request, now time.Time) bool {
	return r.deadline.Sub(now) > a.limit.need(r.budget)
}

func (a *admission) count() int { return len(a.waiting) - a.head }

func (a *admission) popNewest() *Request {
	last := len(a.waiting) - 1
	r := a.waiting[last]
	a.waiting[last] = nil
	a.waiting = a.waiting[:last]
	a.rewind()
	return r
}

func (a *admission) popOldest() *Request {
	r := a.waiting[a.head]
	a.waiting[a.head] = nil
	a.head++
	a.rewind()
	return r
}

// rewind reuses the room in front once it is the larger part.
func (a *admission) rewind() {
	if a.head < len(a.waiting)/2 && a.head < 1024 {
		return
	}
	n := copy(a.waiting, a.waiting[a.head:])
	clear(a.waiting[n:])
	a.waiting, a.head = a.waiting[:n], 0
}
