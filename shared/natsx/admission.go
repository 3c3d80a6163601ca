package natsx

import (
	"hash/maphash"
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// admission decides which requests are worked on now, which wait and which are given up (DESIGN P4). At most limit
// handlers run; the others wait, at most maxWaiting of them, each in the lane of whoever it comes from. The lanes take
// turns, so that a flood from one side leaves the others their share, and in a lane the newest is served first, because it
// has the most time left. The oldest of the heaviest lane is given up when there is no room, and any when its time no longer
// suffices. Requests that are larger than ordinary ones count as several. It holds no lock and no clock.
type admission struct {
	limit      limit
	maxRunning int // weight; limit says how many
	maxWaiting int // weight
	// source names whoever a request comes from; nil: all are one.
	source func(*Request) string
	seed   maphash.Seed

	running, runningWeight int
	waits, waitingWeight   int // in all lanes

	lanes []lane
	turn  int // the lane that was served last
}

// fairLanes is how many lanes there are for sources, which find theirs by a hash that nobody outside can foresee.
const fairLanes = 256

// givenUp is a request that was not taken on, and why.
type givenUp struct {
	request *Request
	code    wire.Code
}

func newAdmission(maxInFlight, maxWaiting int, source func(*Request) string) *admission {
	a := &admission{limit: newLimit(maxInFlight), maxRunning: maxInFlight, maxWaiting: maxWaiting, source: source, lanes: make([]lane, 1)}
	if source != nil {
		a.lanes, a.seed = make([]lane, fairLanes), maphash.MakeSeed()
	}
	return a
}

// offer takes r in. run says that the caller must start its handler now; otherwise it waits or is among gone.
func (a *admission) offer(r *Request, now time.Time) (run bool, gone []givenUp) {
	switch {
	case !a.inTime(r, now):
		return false, []givenUp{{r, wire.OutOfTime}}
	case !a.full():
		a.start(r, now)
		return true, nil
	}
	a.limit.bound = true
	a.place(r)
	for a.waits > 0 && a.waitingWeight+r.weight > a.maxWaiting {
		gone = append(gone, givenUp{a.popOldest(), wire.Overloaded})
	}
	a.wait(r)
	return false, gone
}

func (a *admission) start(r *Request, now time.Time) {
	r.started = now
	a.running++
	a.runningWeight += r.weight
}

func (a *admission) wait(r *Request) {
	a.lanes[r.lane].push(r)
	a.waits++
	a.waitingWeight += r.weight
}

// done ends one handler. answered says that it sent an answer, from which the limit learns. The caller must start the
// handlers of next; all of gone are given up.
func (a *admission) done(r *Request, answered bool, now time.Time) (next []*Request, gone []givenUp) {
	if answered {
		a.limit.observe(now.Sub(r.started), r.budget, now)
	}
	a.running--
	a.runningWeight -= r.weight
	for !a.full() && a.waits > 0 {
		r := a.popNewest()
		if !a.inTime(r, now) {
			gone = append(gone, givenUp{r, wire.OutOfTime})
			continue
		}
		a.start(r, now)
		next = append(next, r)
	}
	return next, gone
}

// expire gives up what waits without enough time. wait says when to look again, 0 for when something waits again.
func (a *admission) expire(now time.Time) (gone []givenUp, wait time.Duration) {
	for i := range a.lanes {
		a.lanes[i].keep(func(r *Request) bool {
			left := r.deadline.Sub(now) - a.limit.need(r.budget)
			if left <= 0 {
				a.waits--
				a.waitingWeight -= r.weight
				gone = append(gone, givenUp{r, wire.OutOfTime})
				return false
			}
			if wait == 0 || left < wait {
				wait = left
			}
			return true
		})
	}
	return gone, wait
}

func (a *admission) inTime(r *Request, now time.Time) bool {
	return r.deadline.Sub(now) > a.limit.need(r.budget)
}

// full says whether one more would have to wait. The last one that runs may go beyond maxRunning: else small ones would overtake it for ever.
func (a *admission) full() bool {
	return a.running >= a.limit.current || a.runningWeight >= a.maxRunning
}

// place finds the lane in which r would wait, unless that was done. It may take a while, and unlike the rest it needs no
// lock: who holds one that others wait for has called it before for the requests that are likely to wait.
func (a *admission) place(r *Request) {
	if a.source == nil || r.placed {
		return
	}
	r.lane, r.placed = int(maphash.String(a.seed, a.source(r))%fairLanes), true
}

// popNewest takes the newest of the lane whose turn it is. Something waits.
func (a *admission) popNewest() *Request {
	for {
		a.turn = (a.turn + 1) % len(a.lanes)
		if l := &a.lanes[a.turn]; l.weight > 0 {
			return a.taken(l.popNewest())
		}
	}
}

// popOldest takes the oldest of the heaviest lane. Something waits.
func (a *admission) popOldest() *Request {
	heaviest := &a.lanes[0]
	for i := range a.lanes {
		if a.lanes[i].weight > heaviest.weight {
			heaviest = &a.lanes[i]
		}
	}
	return a.taken(heaviest.popOldest())
}

// taken returns r, which waits no more.
func (a *admission) taken(r *Request) *Request {
	a.waits--
	a.waitingWeight -= r.weight
	return r
}
