package tokencheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/wire"
)

// fakeSource answers with the kids that it has at the time, or fails.
type fakeSource struct {
	kids    atomic.Pointer[[]string]
	err     atomic.Pointer[error]
	takes   time.Duration
	maxAge  time.Duration
	fetches atomic.Int64

	mu sync.Mutex // guards at
	at []time.Time
}

func (f *fakeSource) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.at)
}

func (f *fakeSource) publish(kids ...string) { f.kids.Store(&kids) }

func (f *fakeSource) fail(err error) { f.err.Store(&err) }

func (f *fakeSource) keys(context.Context) (*keySet, time.Duration, error) {
	f.fetches.Add(1)
	asked := time.Now()
	f.mu.Lock()
	f.at = append(f.at, asked)
	f.mu.Unlock()
	time.Sleep(f.takes)
	if err := f.err.Load(); err != nil && *err != nil {
		return nil, 0, *err
	}
	set := &keySet{keys: map[string]*key{}, asked: asked, hash: fmt.Sprint(*f.kids.Load())}
	for _, kid := range *f.kids.Load() {
		set.keys[kid] = &key{id: kid}
		set.only = set.keys[kid]
	}
	if len(set.keys) > 1 {
		set.only = nil
	}
	return set, f.maxAge, nil
}

var errDown = errors.New("the provider is down")

// login looks for kid as a login with 1.5 s left does.
func login(k *keyring, kid string) wire.Code {
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	_, _, fail := k.find(ctx, kid)
	return code(fail)
}

// onRing runs test in a bubble with a keyring that fetched the kid "a" once.
func onRing(t *testing.T, test func(t *testing.T, k *keyring, source *fakeSource)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{takes: 50 * time.Millisecond}
		source.publish("a")
		k := newKeyring(source, time.Hour, time.Now, zap.NewNop())
		if _, err := k.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		test(t, k, source)
		synctest.Wait()
	})
}

func expect(t *testing.T, k *keyring, kid string, want wire.Code) {
	t.Helper()
	if got := login(k, kid); got != want {
		t.Errorf("%s: %v, want %v", kid, got, want)
	}
}

func TestKeyringRotation(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		expect(t, k, "a", 0)
		source.publish("a", "b")
		expect(t, k, "b", 0)
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestKeyringRotationPublishedLate(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		time.AfterFunc(300*time.Millisecond, func() { source.publish("a", "b") })
		expect(t, k, "b", 0)
	})
}

func TestKeyringUnknownKey(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		expect(t, k, "x", wire.KeyUnknown)
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3: one, and one more look", n)
		}
		// A moment later nothing newer is to be had, and without that nobody is refused.
		expect(t, k, "x", wire.KeySetUnavailable)
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("%d fetches: a known unknown caused one", n)
		}
		expect(t, k, "y", wire.KeySetUnavailable)
		time.Sleep(forcedEvery)
		expect(t, k, "y", wire.KeyUnknown)
		// The memory of x is over: the provider may have published it since.
		time.Sleep(unknownKidsKept)
		source.publish("a", "x")
		expect(t, k, "x", 0)
	})
}

// TestKeyringForetold: whoever names a key before there is one, every few seconds, has nobody refused who has a token of it
// later. Kids can be guessed.
func TestKeyringForetold(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
		onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
			for range 50 * time.Second / every {
				go login(k, "b")
				time.Sleep(every)
			}
			source.publish("a", "b")
			for waited := time.Duration(0); ; waited += 500 * time.Millisecond {
				switch got := login(k, "b"); {
				case got == 0:
					return
				case got != wire.KeySetUnavailable:
					t.Fatalf("every %s: refused %s after the rotation: %v", every, waited, got)
				case waited > 30*time.Second:
					t.Fatalf("every %s: not found in %s", every, waited)
				}
				go login(k, "b")
				time.Sleep(500 * time.Millisecond)
			}
		})
	}
}

// TestKeyringForetoldPublishedLate: nor is the second look lost to a kid that somebody named before.
func TestKeyringForetoldPublishedLate(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		expect(t, k, "b", wire.KeyUnknown)
		time.Sleep(forcedEvery)
		time.AfterFunc(300*time.Millisecond, func() { source.publish("a", "b") })
		expect(t, k, "b", 0)
	})
}

// TestKeyringManyWaitForOne: logins that name new keys at the same time wait for one refresh, each for its own.
func TestKeyringManyWaitForOne(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		source.publish("a", "b", "c")
		var logins sync.WaitGroup
		for i := range 300 {
			kid, want := "b", wire.Code(0)
			switch i % 3 {
			case 1:
				kid = "c"
			case 2:
				kid, want = "x", wire.KeyUnknown
			}
			logins.Go(func() { expect(t, k, kid, want) })
		}
		logins.Wait()
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
		if f, j := k.stats.forced.Load(), k.stats.joined.Load(); f != 1 || j != 299 {
			t.Errorf("%d forced, %d joined", f, j)
		}
	})
}

// TestKeyringUnknownInOutage: nothing is known of a kid while the provider cannot be reached, so that no fleet is lost to a
// rotation during an outage; what was known before is refused as before.
func TestKeyringUnknownInOutage(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		expect(t, k, "old", wire.KeyUnknown)
		source.fail(errDown)
		for range 60 {
			expect(t, k, "b", wire.KeySetUnavailable)
			time.Sleep(time.Second)
		}
		source.publish("a", "b")
		source.fail(nil)
		time.Sleep(forcedEvery)
		expect(t, k, "b", 0)
	})
}

// TestKeyringNoKeyID: a token that names no key means the only one there is.
func TestKeyringNoKeyID(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		before := source.fetches.Load()
		expect(t, k, "", 0)
		source.publish("a", "b")
		if _, err := k.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, k, "", wire.KeyIDMissing)
		if n := source.fetches.Load() - before; n != 1 {
			t.Errorf("%d fetches, want that of the test alone", n)
		}
	})
}

// TestKeyringClockGoesBack: a clock that is set back keeps no newer keys out.
func TestKeyringClockGoesBack(t *testing.T) {
	c := &clock{}
	source := &fakeSource{}
	source.publish("a")
	k := newKeyring(fromClock{source, c}, time.Hour, c.now, zap.NewNop())
	for i, ahead := range []time.Duration{5 * time.Hour, 0} {
		c.ahead = ahead
		source.publish("a", fmt.Sprint("b", i))
		if _, err := k.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, k, fmt.Sprint("b", i), 0)
	}
}

// fromClock asks by a clock of the test's.
type fromClock struct {
	*fakeSource
	clock *clock
}

func (f fromClock) keys(ctx context.Context) (*keySet, time.Duration, error) {
	set, maxAge, err := f.fakeSource.keys(ctx)
	if set != nil {
		set.asked = f.clock.now().Round(0)
	}
	return set, maxAge, err
}

// TestKeyringFlood: whatever tokens name, at most twelve fetches in any minute are theirs, and a key that is there is found
// at once meanwhile.
func TestKeyringFlood(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		for i := range 20_000 {
			go login(k, fmt.Sprint("random", i))
		}
		expect(t, k, "a", 0)
		time.Sleep(4 * time.Second)
		if n := source.fetches.Load() - 1; n > 2 {
			t.Errorf("%d fetches for 20,000 random kids in 4 s", n)
		}
		k.unknown.mu.Lock()
		if got := k.unknown.since.Len(); got > maxUnknownKids {
			t.Errorf("%d kids remembered", got)
		}
		k.unknown.mu.Unlock()
		for range 3000 {
			time.Sleep(100 * time.Millisecond)
			go login(k, fmt.Sprint("later", time.Now().UnixNano()))
			start := time.Now()
			expect(t, k, "a", 0)
			if d := time.Since(start); d != 0 {
				t.Fatalf("a known key waited %s", d)
			}
		}
		times := source.times()
		for i := range times {
			n := 0
			for _, other := range times[i:] {
				if other.Sub(times[i]) < time.Minute {
					n++
				}
			}
			if n > forcedPerMinute {
				t.Errorf("%d fetches in the minute from %s", n, times[i])
			}
		}
		if n := len(times); n < 40 {
			t.Errorf("%d fetches in five minutes: a rotation would not be seen", n)
		}
	})
}

// TestKeyringRotationInFlood: a new key is found although somebody sends random kids all the time.
func TestKeyringRotationInFlood(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		flood := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				go login(k, fmt.Sprint("random", time.Now().UnixNano()))
			}
		}
		flood(2 * time.Minute)
		source.publish("a", "b")
		for waited := time.Duration(0); login(k, "b") != 0; waited += time.Second {
			if waited > 15*time.Second {
				t.Fatal("not found in 15 s")
			}
			flood(time.Second)
		}
	})
}

func TestKeyringOutage(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		source.fail(errDown)
		expect(t, k, "a", 0)
		expect(t, k, "b", wire.KeySetUnavailable)
		time.Sleep(50 * time.Minute)
		expect(t, k, "a", 0)
		time.Sleep(10 * time.Minute)
		expect(t, k, "a", wire.KeySetStale)
		time.Sleep(forcedEvery)
		source.fail(nil)
		expect(t, k, "a", 0)
	})
}

func TestKeyringBeforeFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{takes: 50 * time.Millisecond}
		source.publish("a")
		source.fail(errDown)
		k := newKeyring(source, time.Hour, time.Now, zap.NewNop())
		expect(t, k, "a", wire.KeySetUnavailable)
		source.fail(nil)
		time.Sleep(forcedEvery)
		expect(t, k, "a", 0)
	})
}

func TestKeyringRemovedKey(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		source.publish("b")
		if _, err := k.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, k, "b", 0)
		expect(t, k, "a", wire.KeyUnknown)
	})
}

// TestKeyringLeaderGoesAway: the login that started a refresh is gone before it ends; the others get their answer.
func TestKeyringLeaderGoesAway(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		source.takes = 500 * time.Millisecond
		source.publish("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		leader := make(chan wire.Code)
		go func() {
			_, _, fail := k.find(ctx, "b")
			leader <- code(fail)
		}()
		time.Sleep(100 * time.Millisecond)
		cancel()
		if got := <-leader; got != wire.KeySetUnavailable {
			t.Errorf("leader: %v", got)
		}
		expect(t, k, "b", 0)
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestKeyringSlowProvider(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		source.takes = 10 * time.Second
		start := time.Now()
		expect(t, k, "b", wire.KeySetUnavailable)
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("waited %s of 1.5 s", d)
		}
		start = time.Now()
		expect(t, k, "a", 0)
		if d := time.Since(start); d != 0 {
			t.Errorf("a known key waited %s", d)
		}
		time.Sleep(time.Minute)
	})
}

func TestKeyringSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		source.publish("a")
		k := newKeyring(source, time.Hour, time.Now, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		go k.run(ctx)
		time.Sleep(time.Hour)
		if n := source.fetches.Load(); n < 11 || n > 14 {
			t.Errorf("%d fetches in an hour, want about 12", n)
		}
		before := source.fetches.Load()
		source.fail(errDown)
		time.Sleep(time.Hour)
		if n := source.fetches.Load() - before; n < 60 || n > 180 {
			t.Errorf("%d fetches in an hour of outage", n)
		}
		source.fail(nil)
		time.Sleep(62 * time.Second)
		expect(t, k, "a", 0)
		cancel()
		synctest.Wait()
	})
}

func TestRefreshAfter(t *testing.T) {
	for _, tt := range []struct{ maxAge, low, high time.Duration }{
		{0, 270 * time.Second, 330 * time.Second},
		{time.Second, 54 * time.Second, 66 * time.Second},
		{10 * time.Minute, 9 * time.Minute, 11 * time.Minute},
		{24 * time.Hour, 54 * time.Minute, 66 * time.Minute},
	} {
		for range 100 {
			if got := refreshAfter(tt.maxAge); got < tt.low || got > tt.high {
				t.Errorf("max-age %s: %s", tt.maxAge, got)
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, high := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1000: time.Minute} {
		least, most := time.Hour, time.Duration(0)
		for range 1000 {
			d := backoff(failures)
			least, most = min(least, d), max(most, d)
		}
		if least < time.Second || most > high {
			t.Errorf("after %d failures: between %s and %s, want 1s to %s", failures, least, most, high)
		}
		if spread := high - time.Second; most-least < spread*9/10 {
			t.Errorf("after %d failures: between %s and %s: replicas would fetch together", failures, least, most)
		}
	}
}

func TestMaxAge(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, 0}, {[]string{"no-store"}, 0}, {[]string{"no-cache, no-store, must-revalidate"}, 0},
		{[]string{"max-age=300, must-revalidate"}, 5 * time.Minute}, {[]string{"no-store, MAX-AGE=\"60\""}, time.Minute},
		{[]string{"public", "max-age=90"}, 90 * time.Second}, {[]string{"max-age=0"}, time.Second}, {[]string{"max-age=-1"}, 0},
		{[]string{"max-age=99999999999999"}, maxRefresh}, {[]string{"max-age"}, 0}, {[]string{"s-maxage=5"}, 0},
	} {
		if got := maxAge(tt.headers); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.headers, got, tt.want)
		}
	}
}

// TestKeyringEnds: run leaves no refresh behind that a login forced, and none of them complains that it was broken off.
func TestKeyringEnds(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		core, logs := observer.New(zap.WarnLevel)
		k.log = zap.New(core)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		time.Sleep(time.Second)
		f := k.force("x", false)
		time.Sleep(secondLook / 2) // between its looks
		cancel()
		running.Wait()
		select {
		case <-f.done:
		default:
			t.Error("a refresh outlives run")
		}
		time.Sleep(time.Second)
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3: one before, the one of run and one look", n)
		}
		if k.force("y", false) != nil {
			t.Error("a refresh begins after the end")
		}
		source.fail(context.Canceled)
		if _, err := k.refresh(ctx); !errors.Is(err, context.Canceled) || logs.Len() != 0 {
			t.Errorf("%v, logged %v", err, logs.All())
		}
	})
}
