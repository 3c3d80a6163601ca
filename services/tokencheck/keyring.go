package tokencheck

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"harmony.internal/authcallout/shared/wire"
)

// Times of the key manager.
const (
	minRefresh     = time.Minute
	maxRefresh     = time.Hour
	defaultRefresh = 5 * time.Minute
	minBackoff     = time.Second
	maxBackoff     = time.Minute
	// A refresh forced by an unknown kid happens at most once in forcedEvery. secondLook is when it looks once more: a
	// provider may sign with a key a moment before it publishes it.
	forcedEvery = 5 * time.Second
	secondLook  = 300 * time.Millisecond
	// joinShare is the part of a login's budget that may be spent on waiting for keys.
	joinShare = 0.7
)

// keySource fetches a key set; *fetcher is one.
type keySource interface {
	keys(ctx context.Context) (*keySet, time.Duration, error)
}

// keyring keeps one issuer's keys: refreshed on schedule, and when a token names a key that is not there. A bad
// signature never causes a fetch. Safe for concurrent use.
type keyring struct {
	source     keySource
	staleLimit time.Duration
	now        func() time.Time
	log        *zap.Logger
	limit      *rate.Limiter
	unknown    *unknownKids
	stats      keyringStats

	// changed is called after other keys came in force; nil for nobody. It must not block.
	changed func()

	current atomic.Pointer[keySet]
	fresh   atomic.Int64 // when the current set was last confirmed, Unix nanoseconds

	mu     sync.Mutex // guards flight, held for no longer than its own assignment
	flight *flight
}

// flight is one forced refresh that logins wait for. first is closed after the first look, done after the second.
type flight struct {
	first, done chan struct{}
	mu          sync.Mutex // guards wanted
	wanted      map[string]struct{}
}

func newKeyring(source keySource, staleLimit time.Duration, now func() time.Time, log *zap.Logger) *keyring {
	return &keyring{
		source: source, staleLimit: staleLimit, now: now, log: log,
		limit:   rate.NewLimiter(rate.Every(forcedEvery), 1),
		unknown: newUnknownKids(),
	}
}

// find returns the key called kid. It fails with KeyUnknown only when a set that was asked for after kid was first seen
// lacks it; while that cannot be known it fails with a transient code (DESIGN P1).
func (k *keyring) find(ctx context.Context, kid string) (*key, *keySet, *wire.Error) {
	if found, set := k.look(kid); found != nil {
		return found, set, nil
	}
	seen := k.unknown.firstSeen(kid, k.now())
	if fail, final := k.verdict(kid, seen); final {
		return nil, nil, fail
	}
	f := k.force(kid)
	if f == nil {
		fail, _ := k.verdict(kid, seen)
		return nil, nil, fail
	}
	ctx, cancel := shareOf(ctx, joinShare)
	defer cancel()
	for _, look := range []chan struct{}{f.first, f.done} {
		select {
		case <-look:
		case <-ctx.Done():
			return nil, nil, wire.Fail(wire.KeySetUnavailable, "the provider did not answer in time", ctx.Err())
		}
		if found, set := k.look(kid); found != nil {
			return found, set, nil
		}
	}
	fail, _ := k.verdict(kid, seen)
	return nil, nil, fail
}

// inForce returns the current set, nil while there is none or it is stale.
func (k *keyring) inForce() *keySet {
	if set := k.current.Load(); set != nil && !k.stale() {
		return set
	}
	return nil
}

// look returns a key of the set in force.
func (k *keyring) look(kid string) (*key, *keySet) {
	set := k.inForce()
	if set == nil {
		return nil, nil
	}
	return set.keys[kid], set
}

func (k *keyring) age() time.Duration { return k.now().Sub(time.Unix(0, k.fresh.Load())) }

func (k *keyring) stale() bool { return k.age() > k.staleLimit }

// verdict says what the current set means for a kid that was first seen at seen and is not in it. It is final when
// another look cannot change it.
func (k *keyring) verdict(kid string, seen time.Time) (fail *wire.Error, final bool) {
	set := k.current.Load()
	switch {
	case set == nil:
		return wire.Fail(wire.KeySetUnavailable, "", nil), false
	case k.stale():
		return wire.Fail(wire.KeySetStale, "", nil), false
	case set.asked.After(seen):
		return wire.Fail(wire.KeyUnknown, "kid "+bounded(kid)+", known "+strings.Join(set.ids(), " "), nil), true
	}
	return wire.Fail(wire.KeySetUnavailable, "kid "+bounded(kid)+" is not known yet, and no newer key set could be had", nil), false
}

// force joins the refresh in flight or starts one; nil when the limit forbids it.
func (k *keyring) force(kid string) *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.flight; f != nil {
		f.want(kid)
		k.stats.joined.Add(1)
		return f
	}
	if !k.limit.AllowN(k.now(), 1) {
		k.stats.suppressed.Add(1)
		return nil
	}
	k.stats.forced.Add(1)
	f := &flight{first: make(chan struct{}), done: make(chan struct{}), wanted: map[string]struct{}{kid: {}}}
	k.flight = f
	// The refresh belongs to nobody who waits for it: one that goes away does not fail the others.
	go k.fly(f)
	return f
}

func (f *flight) want(kid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wanted) < maxUnknownKids {
		f.wanted[kid] = struct{}{}
	}
}

// missing reports whether somebody waits for a key that set lacks.
func (f *flight) missing(set *keySet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for kid := range f.wanted {
		if set == nil || set.keys[kid] == nil {
			return true
		}
	}
	return false
}

func (k *keyring) fly(f *flight) {
	defer func() {
		k.mu.Lock()
		k.flight = nil
		k.mu.Unlock()
		close(f.done)
	}()
	_, _ = k.refresh(context.Background()) // logged there; the waiting look at the current set
	close(f.first)
	if !f.missing(k.current.Load()) {
		return
	}
	time.Sleep(secondLook)
	_, _ = k.refresh(context.Background()) // as above
}

// refresh fetches once and takes a good set over. The last good one stays in force otherwise (DESIGN P9).
func (k *keyring) refresh(ctx context.Context) (time.Duration, error) {
	set, maxAge, err := k.source.keys(ctx)
	if err != nil {
		k.stats.failed.Add(1)
		k.log.Warn("keys were not refreshed; the last good ones stay in force", zap.Error(err), zap.Duration("age", k.ageOrZero()))
		return 0, err
	}
	k.stats.fetched.Add(1)
	k.take(set)
	return maxAge, nil
}

func (k *keyring) ageOrZero() time.Duration {
	if k.current.Load() == nil {
		return 0
	}
	return k.age().Round(time.Second)
}

// take puts set in force unless a newer one came in the meantime.
func (k *keyring) take(set *keySet) {
	for {
		old := k.current.Load()
		if old != nil && old.asked.After(set.asked) {
			return
		}
		if old != nil {
			set.generation = old.generation
		}
		if old == nil || old.hash != set.hash {
			set.generation++
		}
		if k.current.CompareAndSwap(old, set) {
			k.fresh.Store(set.asked.UnixNano())
			if old == nil || old.hash != set.hash {
				k.log.Info("keys in force", zap.String("key_set", set.hash), zap.Strings("kids", set.ids()), zap.Int("unusable", set.skipped))
				if k.changed != nil {
					k.changed()
				}
			}
			return
		}
	}
}

// run refreshes until ctx ends: at the pace that the provider asks for, within bounds, and with backoff while it cannot
// be reached.
func (k *keyring) run(ctx context.Context) {
	failures := 0
	for {
		maxAge, err := k.refresh(ctx)
		wait := refreshAfter(maxAge)
		if err != nil {
			failures++
			wait = backoff(failures)
		} else {
			failures = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// refreshAfter clamps what the provider asks for and spreads it by a tenth either way, so that replicas do not fetch
// together.
func refreshAfter(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		maxAge = defaultRefresh
	}
	wait := min(max(maxAge, minRefresh), maxRefresh)
	return wait - wait/10 + rand.N(wait/5) //nolint:gosec // spreads load, guards nothing
}

// backoff is a random time up to a bound that doubles with each failure.
func backoff(failures int) time.Duration {
	bound := min(minBackoff<<min(failures, 6), maxBackoff)
	return minBackoff/2 + rand.N(bound) //nolint:gosec // spreads load, guards nothing
}

// shareOf returns ctx with a part of the time that is left of it.
func shareOf(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, fetchTimeout)
	}
	return context.WithTimeout(ctx, time.Duration(part*float64(time.Until(deadline))))
}
