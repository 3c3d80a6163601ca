package natsx

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/wire"
)

// message is a micro.Request without a connection.
type message struct {
	micro.Request
	headers micro.Headers
}

func (m message) Headers() micro.Headers { return m.headers }
func (message) Data() []byte             { return nil }
func (message) Subject() string          { return "test" }
func (message) Reply() string            { return "" }

func withBudget(id string, d time.Duration) message {
	return message{headers: micro.Headers{
		wire.HeaderRequestID: {id},
		wire.HeaderBudget:    {strconv.FormatInt(d.Milliseconds(), 10)},
	}}
}

type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, s)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func TestOneSlowRequestDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		e := newEndpoint(nil, &Endpoint{
			Handle: func(ctx context.Context, r *Request) {
				if r.ID == "slow" {
					<-ctx.Done()
				}
				seen.add(r.ID + " " + time.Since(r.Received).String())
			},
		}, zap.NewNop())
		e.Handle(withBudget("slow", time.Second))
		e.Handle(withBudget("quick", time.Second))
		synctest.Wait()
		if got := seen.all(); !slices.Equal(got, []string{"quick 0s"}) {
			t.Fatalf("at once: %v", got)
		}
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := seen.all(); !slices.Equal(got, []string{"quick 0s", "slow 1s"}) {
			t.Fatalf("at the end: %v", got)
		}
	})
}

// TestWaitingIsGivenUpInTime: nobody finishes, so only the sweep can give up what waits.
func TestWaitingIsGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		began := time.Now()
		release := make(chan struct{})
		e := newEndpoint(nil, &Endpoint{
			MaxInFlight: 1,
			MaxWaiting:  3,
			Handle:      func(context.Context, *Request) { <-release },
			GiveUp: func(r *Request, fail *wire.Error) {
				seen.add(r.ID + " " + fail.Code.String() + " " + time.Since(began).String())
			},
		}, zap.NewNop())
		for i, budget := range []time.Duration{time.Second, time.Second, 900 * time.Millisecond, 200 * time.Millisecond, time.Second} {
			e.Handle(withBudget(strconv.Itoa(i), budget))
		}
		time.Sleep(2 * time.Second)
		close(release)
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := []string{"1 overloaded 0s", "3 out_of_time 200ms", "2 out_of_time 900ms", "4 out_of_time 1s"}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("given up: %v\nwant %v", got, want)
		}
		if l := e.load(); l.Handled != 1 || l.Overloaded != 1 || l.OutOfTime != 3 || l.Running != 0 || l.Waiting != 0 {
			t.Errorf("load %+v", l)
		}
	})
}

// TestTurnedAwayIsNotSweptFor: a request that comes too late has nobody look through all that wait.
func TestTurnedAwayIsNotSweptFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := newEndpoint(&Conn{}, &Endpoint{
			MaxInFlight: 1,
			Handle:      func(context.Context, *Request) { <-release },
			GiveUp:      func(*Request, *wire.Error) {},
		}, zap.NewNop())
		sweepAt := func() time.Time {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.sweepAt
		}
		e.Handle(withBudget("runs", time.Second))
		e.Handle(withBudget("waits", time.Second))
		planned := sweepAt()
		for range 10 {
			e.Handle(withBudget("over", 0))
			if now := sweepAt(); !now.Equal(planned) {
				t.Errorf("a sweep is planned for %v, want %v still", now, planned)
			}
		}
		if l := e.load(); l.OutOfTime != 10 || l.Waiting != 1 {
			t.Errorf("load %+v", l)
		}
		close(release)
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOverloadKeepsGoodput offers three times what can be done. What is done must be in time, and nearly as much as
// without the overload.
func TestOverloadKeepsGoodput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, service, seconds = 10, 10 * time.Millisecond, 5
		var mu sync.Mutex
		inTime, late := 0, 0
		e := newEndpoint(nil, &Endpoint{
			MaxInFlight: workers,
			Handle: func(_ context.Context, r *Request) {
				time.Sleep(service)
				mu.Lock()
				defer mu.Unlock()
				if time.Since(r.Received) <= r.budget {
					inTime++
				} else {
					late++
				}
				r.answered.Store(true)
			},
			GiveUp: func(*Request, *wire.Error) {},
		}, zap.NewNop())
		const capacity = workers * int(time.Second/service)
		for range seconds * capacity {
			for range 3 {
				e.Handle(withBudget("x", 500*time.Millisecond))
			}
			time.Sleep(time.Second / time.Duration(capacity))
		}
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if done := inTime + late; late*100 > done || inTime < seconds*capacity*95/100 {
			t.Errorf("in time %d, late %d; capacity %d", inTime, late, seconds*capacity)
		}
	})
}

// TestPanicOutsideTheHandler: one in Source or GiveUp costs its own request something, and nobody else.
func TestPanicOutsideTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled, givenUp events
		release := make(chan struct{})
		core, logged := observer.New(zap.ErrorLevel)
		e := newEndpoint(&Conn{}, &Endpoint{
			MaxInFlight: 1, MaxWaiting: 1,
			Handle: func(_ context.Context, r *Request) {
				handled.add(r.ID)
				<-release
			},
			Source: func(*Request) string { panic("broken source") },
			GiveUp: func(r *Request, _ *wire.Error) {
				givenUp.add(r.ID)
				panic("broken end")
			},
		}, zap.New(core))
		for _, id := range []string{"runs", "pushed out", "waits"} {
			e.Handle(withBudget(id, time.Second))
			synctest.Wait()
		}
		close(release)
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got, want := handled.all(), []string{"runs", "waits"}; !slices.Equal(got, want) {
			t.Errorf("handled %q, want %q", got, want)
		}
		if got, want := givenUp.all(), []string{"pushed out"}; !slices.Equal(got, want) {
			t.Errorf("given up %q, want %q", got, want)
		}
		if sources, ends := logged.FilterMessage("panic in a source").Len(), logged.FilterMessage("panic in giving up").Len(); sources != 2 || ends != 1 {
			t.Errorf("logged %d panics of sources and %d of ends, want 2 and 1", sources, ends)
		}
	})
}

// TestSourceIsAskedWithoutTheLock: it may take a while to find out, and handlers must end meanwhile.
func TestSourceIsAskedWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e *endpoint
		asked := 0
		release := make(chan struct{})
		e = newEndpoint(&Conn{}, &Endpoint{
			MaxInFlight: 1,
			Handle:      func(context.Context, *Request) { <-release },
			Source: func(*Request) string {
				asked++
				if !e.mu.TryLock() {
					t.Error("the endpoint is locked")
					return ""
				}
				e.mu.Unlock()
				return "192.0.2.1"
			},
		}, zap.NewNop())
		e.Handle(withBudget("runs", time.Second))
		e.Handle(withBudget("waits", time.Second))
		synctest.Wait()
		if l := e.load(); asked != 1 || l.Waiting != 1 {
			t.Errorf("asked %d times with %d waiting, want once: for the one that waits", asked, l.Waiting)
		}
		close(release)
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSourceHoldsUpNobody: while it is found out whose a request is, others are taken in, and the endpoint is not idle.
func TestSourceHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, release := make(chan struct{}), make(chan struct{})
		var seen events
		e := newEndpoint(&Conn{}, &Endpoint{
			MaxInFlight: 1,
			Handle: func(_ context.Context, r *Request) {
				<-release
				seen.add(fmt.Sprint(r.ID, " ", r.Kept))
			},
			Source: func(r *Request) string {
				<-known
				r.Kept = "of " + r.ID
				return r.ID
			},
		}, zap.NewNop())
		for _, id := range []string{"runs", "a", "b"} {
			e.Handle(withBudget(id, time.Minute))
		}
		close(release)
		synctest.Wait()
		if got := seen.all(); !slices.Equal(got, []string{"runs <nil>"}) {
			t.Fatalf("before the sources are known: %v", got)
		}
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("idle with requests that nobody has admitted: %v", err)
		}
		close(known)
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := seen.all()
		slices.Sort(got)
		if !slices.Equal(got, []string{"a of a", "b of b", "runs <nil>"}) {
			t.Errorf("handled %v", got)
		}
	})
}

// TestFairShareWhenSourcesAreSlow: a flood comes faster than anybody finds out whose it is, and turns away only its own.
func TestFairShareWhenSourcesAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var others, turnedAway atomic.Int32
		e := newEndpoint(&Conn{}, &Endpoint{
			MaxInFlight: 1,
			MaxWaiting:  100,
			Handle: func(_ context.Context, r *Request) {
				time.Sleep(10 * time.Millisecond)
				if r.ID != "flood" {
					others.Add(1)
				}
			},
			Source: func(r *Request) string {
				time.Sleep(time.Millisecond)
				return r.ID
			},
			GiveUp: func(r *Request, _ *wire.Error) {
				turnedAway.Add(1)
				if r.ID != "flood" {
					t.Errorf("%s is given up", r.ID)
				}
			},
		}, zap.NewNop())
		const flood = 3 * maxUnsorted
		for i := range flood {
			e.Handle(withBudget("flood", maxBudget))
			if i%(flood/4) == 0 {
				e.Handle(withBudget(inAnotherLane(e.admission, "flood", i), maxBudget))
			}
		}
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if others.Load() != 4 || turnedAway.Load() == 0 {
			t.Errorf("%d of the 4 others were handled, and %d of the flood were turned away", others.Load(), turnedAway.Load())
		}
	})
}

// inAnotherLane returns a source, different for each n, that does not share the lane of the one named: of two sources, one in
// fairLanes pairs does.
func inAnotherLane(a *admission, other string, n int) string {
	lane := func(source string) uint64 { return maphash.String(a.seed, source) % fairLanes }
	for try := 0; ; try++ {
		if source := fmt.Sprintf("other%d-%d", n, try); lane(source) != lane(other) {
			return source
		}
	}
}

// TestTakenInAfterTheEnd: a request that the subscription still held when the endpoint was found idle, as it may while the
// connection is down, is worked on.
func TestTakenInAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(&Conn{}, &Endpoint{Handle: func(context.Context, *Request) {}}, zap.NewNop())
		e.Handle(withBudget("before", time.Second))
		if err := e.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		e.Handle(withBudget("after", time.Second))
		synctest.Wait()
		if l := e.load(); l.Handled != 2 || l.Running != 0 {
			t.Errorf("load %+v", l)
		}
	})
}

func TestHeaderBudget(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": DefaultBudget, "250": 250 * time.Millisecond, "0": 0, "-1": DefaultBudget, "1.5": DefaultBudget,
		"99999999999999999999": DefaultBudget, "4294967295": maxBudget, " 5": DefaultBudget,
	} {
		r := &Request{Header: micro.Headers{}}
		if text != "" {
			r.Header[wire.HeaderBudget] = []string{text}
		}
		if got := headerBudget(r); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestBudgetThatIsOver: it goes out as one that is over, and not as none, which a receiver takes for the default.
func TestBudgetThatIsOver(t *testing.T) {
	m := newMessage("s", "r", "id", -time.Second, nil)
	if got := m.Header.Get(wire.HeaderBudget); got != "0" {
		t.Errorf("budget %q, want 0", got)
	}
	if got := headerBudget(&Request{Header: micro.Headers(m.Header)}); got != 0 {
		t.Errorf("read as %v, want 0", got)
	}
}
