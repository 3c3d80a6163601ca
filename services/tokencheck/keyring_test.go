package tokencheck

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// fakeSource answers with the kids that it has at the time, or fails.
type fakeSource struct {
	kids    atomic.Pointer[[]string]
	err     atomic.Pointer[error]
	takes   time.Duration
	fetches atomic.Int64
}

func (f *fakeSource) publish(kids ...string) { f.kids.Store(&kids) }

func (f *fakeSource) fail(err error) { f.err.Store(&err) }

func (f *fakeSource) keys(context.Context) (*keySet, time.Duration, error) {
	f.fetches.Add(1)
	asked := time.Now()
	time.Sleep(f.takes)
	if err := f.err.Load(); err != nil && *err != nil {
		return nil, 0, *err
	}
	set := &keySet{keys: map[string]*key{}, asked: asked, hash: fmt.Sprint(*f.kids.Load())}
	for _, kid := range *f.kids.Load() {
		set.keys[kid] = &key{id: kid}
	}
	return set, 0, nil
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
		expect(t, k, "x", wire.KeyUnknown)
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("%d fetches: a known unknown caused one", n)
		}
		expect(t, k, "y", wire.KeySetUnavailable)
		time.Sleep(forcedEvery)
		expect(t, k, "y", wire.KeyUnknown)
	})
}

func TestKeyringFlood(t *testing.T) {
	onRing(t, func(t *testing.T, k *keyring, source *fakeSource) {
		before := source.fetches.Load()
		for i := range 20_000 {
			go login(k, fmt.Sprint("random", i))
		}
		expect(t, k, "a", 0)
		time.Sleep(4 * time.Second)
		if n := source.fetches.Load() - before; n > 2 {
			t.Errorf("%d fetches for 20,000 random kids in 4 s", n)
		}
		if got := k.unknown.seen.Len(); got > maxUnknownKids {
			t.Errorf("%d kids remembered", got)
		}
		for range 56 {
			time.Sleep(time.Second)
			login(k, fmt.Sprint("later", time.Now().UnixNano()))
		}
		if n := source.fetches.Load() - before; n > 26 {
			t.Errorf("%d fetches in a minute", n)
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
		if n := source.fetches.Load() - before; n < 60 || n > 400 {
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
