package natsx

import (
	"strconv"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// start is any moment: the admission knows no clock.
var start = time.Unix(1_700_000_000, 0)

func at(d time.Duration) time.Time { return start.Add(d) }

func request(id string, received, budget time.Duration) *Request {
	return &Request{ID: id, weight: 1, Received: at(received), started: at(received), budget: budget, deadline: at(received + budget)}
}

func ids(gone []givenUp) (s string) {
	for _, g := range gone {
		s += g.request.ID
	}
	return s
}

func nextIDs(next []*Request) (s string) {
	for _, r := range next {
		s += r.ID
	}
	return s
}

func TestAdmissionServesTheNewest(t *testing.T) {
	a := newAdmission(1, 10, nil)
	first := request("a", 0, time.Second)
	if run, _ := a.offer(first, at(0)); !run {
		t.Fatal("the first request must run")
	}
	for i, id := range []string{"b", "c", "d"} {
		received := time.Duration(i+1) * time.Millisecond
		if run, gone := a.offer(request(id, received, time.Second), at(received)); run || gone != nil {
			t.Fatalf("%s: run %v, gone %q; want it to wait", id, run, ids(gone))
		}
	}
	order := ""
	for running := first; ; {
		next, gone := a.done(running, true, at(10*time.Millisecond))
		if gone != nil {
			t.Fatalf("gone %q, want none", ids(gone))
		}
		if len(next) == 0 {
			break
		}
		running = next[0]
		order += nextIDs(next)
	}
	if order != "dcb" {
		t.Errorf("served in the order %q, want dcb", order)
	}
	if a.running != 0 || a.waits != 0 {
		t.Errorf("running %d, waiting %d at the end", a.running, a.waits)
	}
}

func TestAdmissionGivesUp(t *testing.T) {
	t.Run("the oldest when there is no room", func(t *testing.T) {
		a := newAdmission(1, 2, nil)
		for _, id := range []string{"a", "b", "c"} {
			a.offer(request(id, 0, time.Second), at(0))
		}
		_, gone := a.offer(request("d", 0, time.Second), at(0))
		if ids(gone) != "b" || gone[0].code != wire.Overloaded {
			t.Errorf("gave up %q, want b as overloaded", ids(gone))
		}
	})
	t.Run("one whose time has passed before it came", func(t *testing.T) {
		a := newAdmission(1, 2, nil)
		run, gone := a.offer(request("a", 0, 0), at(0))
		if run || ids(gone) != "a" || gone[0].code != wire.OutOfTime {
			t.Errorf("run %v, gave up %q; want a as out of time", run, ids(gone))
		}
	})
	t.Run("those whose time passed while they waited", func(t *testing.T) {
		a := newAdmission(1, 9, nil)
		first := request("a", 0, time.Second)
		a.offer(first, at(0))
		a.offer(request("b", 0, 100*time.Millisecond), at(0))
		a.offer(request("c", 0, time.Second), at(0))
		a.offer(request("d", 0, 200*time.Millisecond), at(0))
		next, gone := a.done(first, false, at(300*time.Millisecond))
		if nextIDs(next) != "c" || ids(gone) != "d" {
			t.Errorf("next %q, gone %q; want c and d", nextIDs(next), ids(gone))
		}
		gone, wait := a.expire(at(300 * time.Millisecond))
		if ids(gone) != "b" || wait != 0 {
			t.Errorf("expired %q, look again in %v; want b and never", ids(gone), wait)
		}
	})
	t.Run("none early, and says when to look again", func(t *testing.T) {
		a := newAdmission(1, 9, nil)
		for _, r := range []*Request{request("a", 0, time.Second), request("b", 0, 800*time.Millisecond), request("c", 0, 300*time.Millisecond)} {
			a.offer(r, at(0))
		}
		gone, wait := a.expire(at(100 * time.Millisecond))
		if gone != nil || wait != 200*time.Millisecond {
			t.Errorf("expired %q, look again in %v; want none and 200ms", ids(gone), wait)
		}
	})
	t.Run("those that the usual time of a handler would make late", func(t *testing.T) {
		a := newAdmission(1, 9, nil)
		first := request("a", 0, time.Second)
		a.offer(first, at(0))
		a.limit.usual = 200 * time.Millisecond
		a.offer(request("b", 0, time.Second), at(0))
		if next, gone := a.done(first, false, at(900*time.Millisecond)); next != nil || ids(gone) != "b" {
			t.Errorf("next %q, gone %q; want only b gone", nextIDs(next), ids(gone))
		}
	})
}

// TestAdmissionBounds checks after every step of a long overload that nothing is lost, nothing counted twice, and no bound
// passed.
func TestAdmissionBounds(t *testing.T) {
	const maxInFlight, maxWaiting = 8, 100
	a := newAdmission(maxInFlight, maxWaiting, nil)
	var running []*Request
	offered, finished, given := 0, 0, 0
	for ms := range 5000 {
		now := time.Duration(ms) * time.Millisecond
		for range 3 {
			offered++
			r := request("x", now, 150*time.Millisecond)
			r.weight = 1 + offered%5
			run, gone := a.offer(r, at(now))
			if run {
				running = append(running, r)
			}
			given += len(gone)
		}
		if len(running) > 0 {
			r := running[0]
			finished++
			next, gone := a.done(r, true, at(now))
			running = append(running[1:], next...)
			given += len(gone)
		}
		if ms%50 == 0 {
			gone, _ := a.expire(at(now))
			given += len(gone)
		}
		weight := 0
		for _, r := range running {
			weight += r.weight
		}
		if a.running != len(running) || a.runningWeight != weight || a.runningWeight >= maxInFlight+5 || a.waitingWeight > maxWaiting || a.waits > a.waitingWeight {
			t.Fatalf("at %v: running %d of weight %d (handlers %d, %d), waiting %d of weight %d",
				now, a.running, a.runningWeight, len(running), weight, a.waits, a.waitingWeight)
		}
		if offered != finished+given+a.running+a.waits {
			t.Fatalf("at %v: offered %d, finished %d, given up %d, running %d, waiting %d", now, offered, finished, given, a.running, a.waits)
		}
	}
	for a.running > 0 {
		next, gone := a.done(running[0], true, at(5*time.Second))
		running = append(running[1:], next...)
		given += len(gone)
	}
	if a.waits != 0 || a.waitingWeight != 0 || a.runningWeight != 0 || a.lanes[0].weight != 0 {
		t.Errorf("at the end %d wait, of weight %d, and a weight of %d runs", a.waits, a.waitingWeight, a.runningWeight)
	}
	if cap(a.lanes[0].waiting) > 64*maxWaiting {
		t.Errorf("the queue grew to %d", cap(a.lanes[0].waiting))
	}
}

// TestLargeRequestsCountForMore: somebody who sends large ones takes the room of several, and it is he who loses it.
func TestLargeRequestsCountForMore(t *testing.T) {
	a := newAdmission(4, 10, func(*Request) string { return "" })
	from := func(lane int, id string, bytes int) *Request {
		r := request(id, 0, time.Second)
		r.lane, r.placed, r.weight = lane, true, weigh(bytes)
		return r
	}
	const large = 30 << 10
	first := from(1, "x1", large)
	if run, _ := a.offer(first, at(0)); !run { // larger than all that may run, and nothing does
		t.Fatal("a large one never runs")
	}
	if run, _ := a.offer(from(2, "y1", 0), at(0)); run {
		t.Error("a small one runs beside it")
	}
	for _, id := range []string{"z1", "z2", "z3", "z4"} {
		if run, gone := a.offer(from(3, id, 0), at(0)); run || gone != nil {
			t.Errorf("%s: run %t, gone %q", id, run, ids(gone))
		}
	}
	if _, gone := a.offer(from(1, "x2", large), at(0)); ids(gone) != "z1" { // the heaviest lane so far
		t.Errorf("gone %q, want one of the many", ids(gone))
	}
	if _, gone := a.offer(from(2, "y2", 0), at(0)); ids(gone) != "x2" {
		t.Errorf("gone %q, want the large one", ids(gone))
	}
	next, _ := a.done(first, true, at(0))
	if len(next) != 4 || a.runningWeight != 4 {
		t.Errorf("%q run next", nextIDs(next))
	}
}

func TestWeigh(t *testing.T) {
	for bytes, want := range map[int]int{0: 1, 6143: 1, 6144: 2, 12287: 2, 12288: 3, 64 << 10: 11} {
		if got := weigh(bytes); got != want {
			t.Errorf("%d bytes weigh %d, want %d", bytes, got, want)
		}
	}
}

func TestLimitFollowsTheHandlers(t *testing.T) {
	const budget = 1600 * time.Millisecond
	for _, test := range []struct {
		name        string
		slow, fast  int // handlers in each window
		bound       bool
		from, wants int
	}{
		{"all slow: fewer, down to the floor", 100, 0, true, 1000, limitFloor},
		{"one in a hundred fast: still fewer", 99, 1, true, 1000, limitFloor},
		{"a fifth fast: one provider is slow, not everything", 80, 20, true, limitFloor, 4096},
		{"all fast", 0, 100, true, limitFloor, 4096},
		{"nobody waits: nothing to learn", 100, 0, false, 300, 300},
		{"a few in each window add up", 3, 0, true, 300, limitFloor},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLimit(4096)
			l.current = test.from
			now := at(0)
			for range 60 {
				l.bound = test.bound
				for range test.slow {
					l.observe(budget/2, budget, now)
				}
				for range test.fast {
					l.observe(time.Millisecond, budget, now)
				}
				now = now.Add(limitWindow / time.Duration(max(1, test.slow+test.fast)))
				now = now.Add(limitWindow)
			}
			if l.current != test.wants {
				t.Errorf("limit %d, want %d", l.current, test.wants)
			}
		})
	}
}

func TestLimitTellsSlowFromFast(t *testing.T) {
	const budget = 1600 * time.Millisecond
	l := newLimit(4096)
	l.windowEnd = at(time.Hour)
	l.observe(budget/slowShare, budget, at(0))
	l.observe(budget/slowShare+1, budget, at(0))
	l.observe(budget/slowShare+1, 2*budget, at(0))
	if l.slow != 1 || l.fast != 2 {
		t.Errorf("%d slow and %d fast, want 1 and 2", l.slow, l.fast)
	}
}

func TestRetryBudget(t *testing.T) {
	b := newRetryBudget(retryStock)
	further := 0
	const calls = 10_000
	for range calls {
		b.called()
		if b.take() {
			further++
		}
	}
	if most := retryShare*calls + retryStock; float64(further) > most {
		t.Errorf("%d further attempts for %d calls, at most %.0f", further, calls, most)
	}
	if float64(further) < retryShare*calls {
		t.Errorf("%d further attempts for %d calls, the budget allows %.0f", further, calls, retryShare*calls)
	}
}

// TestFairShare: a flood from one source neither delays nor displaces the few of others, and is not banned either.
func TestFairShare(t *testing.T) {
	a := newAdmission(1, 100, func(r *Request) string { return r.Subject })
	from := func(source, id string, received time.Duration) *Request {
		r := request(id, received, time.Second)
		r.Subject = source
		return r
	}
	// Sources whose hashes fall together share a lane; these do not.
	taken := map[int]bool{}
	var sources []string
	for n := 0; len(sources) < 3; n++ {
		r := from("192.0.2."+strconv.Itoa(n), "", 0)
		if a.place(r); !taken[r.lane] {
			taken[r.lane], sources = true, append(sources, r.Subject)
		}
	}
	flood, one, two := sources[0], sources[1], sources[2]
	running := from(flood, "first", 0)
	if run, _ := a.offer(running, at(0)); !run {
		t.Fatal("the first request must run")
	}
	lost := map[string]int{}
	offer := func(r *Request) {
		_, gone := a.offer(r, at(time.Millisecond))
		for _, g := range gone {
			lost[g.request.Subject]++
		}
	}
	for range 200 {
		offer(from(flood, "f", time.Millisecond))
	}
	offer(from(one, "one", time.Millisecond))
	offer(from(two, "two", time.Millisecond))
	for range 200 {
		offer(from(flood, "f", time.Millisecond))
	}
	if len(lost) != 1 || lost[flood] != 302 {
		t.Errorf("given up %v, want 302 of the flood alone", lost)
	}
	served := map[string]int{}
	for range 6 {
		next, gone := a.done(running, true, at(2*time.Millisecond))
		if len(next) != 1 || len(gone) != 0 {
			t.Fatalf("next %q, gone %q", nextIDs(next), ids(gone))
		}
		running = next[0]
		served[running.Subject]++
	}
	if served[one] != 1 || served[two] != 1 || served[flood] != 4 {
		t.Errorf("of six %v, want both of the others and four of the flood", served)
	}
}
