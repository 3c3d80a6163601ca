package tokencheck

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// Times of the key manager.
const (
	minRefresh     = time.Minute
	maxRefresh     = time.Hour
	defaultRefresh = 5 * time.Minute
	minBackoff     = time.Second
	maxBackoff     = time.Minute
	// secondLook is when a forced refresh looks once more: a provider may sign with a key a moment before it publishes it. It is
	// a little more than the 300 ms that such a provider is granted, so that both may be late.
	secondLook = 400 * time.Millisecond
	// joinShare is the part of a login's budget that may be spent on waiting for keys.
	joinShare = 0.7
)

// keySource fetches a key set and says for how long the provider wants it to be used; *fetcher is one.
type keySource interface {
	keys(ctx context.Context) (*keySet, time.Duration, error)
}

// keyring keeps one issuer's keys: refreshed on schedule, and when a token names a key that is not there. A bad
// signature never causes a fetch. Safe for concurrent use.
type keyring struct {
	source     keySource
	file       *keyFile // where the last good set is kept; nil for nowhere
	staleLimit time.Duration
	now        func() time.Time
	log        *zap.Logger
	unknown    *unknownKids
	stats      keyringStats

	// changed are called after other keys came in force. They must not block.
	changed []func()

	current atomic.Pointer[keySet]
	asked   atomic.Uint64 // fetches so far; it orders the sets, whatever the clock does
	tried   chan struct{} // closed when the first scheduled fetch has ended, well or not

	mu        sync.Mutex // guards the rest, held for no longer than its own assignment
	flight    *flight
	allowance allowance
	ended     bool           // no more flights
	flights   sync.WaitGroup // joined with mu held, while not ended
}

// flight is one forced refresh that logins wait for. first is closed after the first look, done after the second.
type flight struct {
	first, done chan struct{}
	cancel      context.CancelFunc
	mu          sync.Mutex // guards wanted
	wanted      map[string]struct{}
}

func newKeyring(source keySource, staleLimit time.Duration, now func() time.Time, log *zap.Logger) *keyring {
	return &keyring{source: source, staleLimit: staleLimit, now: now, log: log, unknown: newUnknownKids(), tried: make(chan struct{})}
}

// find returns the key called kid, with an empty kid the only key. It fails with KeyUnknown only when a set lacks it that was
// asked for during this login, and after the moment that a provider may take to publish it; while that cannot be known it
// fails with a transient code (DESIGN P1). That kid was unknown a while ago refuses nobody: anybody may have named it before
// there was such a key.
func (k *keyring) find(ctx context.Context, kid string) (*key, *keySet, *wire.Error) {
	if key, set := k.have(kid); key != nil {
		return key, set, nil
	}
	began := k.now()
	now := k.look(kid, began)
	if now.final {
		return now.key, now.set, now.fail
	}
	f := k.force(kid, k.unknown.lacked(kid, began))
	if f == nil {
		now = k.look(kid, began) // a refresh may have ended in between
		return now.key, now.set, now.fail
	}
	ctx, cancel := shareOf(ctx, joinShare)
	defer cancel()
	for _, ended := range []chan struct{}{f.first, f.done} {
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, nil, wire.Fail(wire.KeySetUnavailable, "the provider did not answer in time", ctx.Err())
		}
		if now = k.look(kid, began); now.final {
			break
		}
	}
	if now.key == nil {
		k.unknown.add(kid, began)
	}
	return now.key, now.set, now.fail
}

// have returns the key called kid, with an empty kid the only key, when it is in force. With nil, find may have another answer.
func (k *keyring) have(kid string) (*key, *keySet) {
	set := k.inForce()
	switch {
	case set == nil:
		return nil, nil
	case kid == "":
		return set.only, set
	}
	return set.keys[kid], set
}

// inForce returns the current set, nil while there is none or it is stale.
func (k *keyring) inForce() *keySet {
	if set := k.current.Load(); set != nil && !k.stale() {
		return set
	}
	return nil
}

// finding is what the current set means for a kid: its key, or why there is none. It is final when another look cannot
// change it.
type finding struct {
	key   *key
	set   *keySet
	fail  *wire.Error
	final bool
}

// look looks for the kid of a login that began at began. A token that names none can only mean the only key (RFC 7515 section
// 4.1.4); among several, fetching would not help.
func (k *keyring) look(kid string, began time.Time) finding {
	set := k.current.Load()
	switch {
	case set == nil:
		return finding{fail: wire.Fail(wire.KeySetUnavailable, "no keys could be fetched yet", nil)}
	case k.stale():
		return finding{fail: wire.Fail(wire.KeySetStale, "", nil)}
	case kid == "" && set.only != nil:
		return finding{key: set.only, set: set, final: true}
	case kid == "":
		return finding{fail: wire.Fail(wire.KeyIDMissing, "and the issuer has several keys", nil), final: true}
	case set.keys[kid] != nil:
		return finding{key: set.keys[kid], set: set, final: true}
	case set.asked.Sub(began.Round(0)) >= secondLook:
		return finding{fail: wire.Fail(wire.KeyUnknown, "kid "+bounded(kid)+", known "+strings.Join(set.some(), " "), nil), final: true}
	}
	return finding{fail: wire.Fail(wire.KeySetUnavailable, "kid "+bounded(kid)+" is not known yet, and no newer key set could be had", nil)}
}

// age is how long ago the current set was asked for; 0 when there is none.
func (k *keyring) age() time.Duration {
	set := k.current.Load()
	if set == nil {
		return 0
	}
	return k.now().Round(0).Sub(set.asked) // by the wall clock, which goes on while a machine sleeps
}

func (k *keyring) stale() bool { return k.age() > k.staleLimit }

// force joins the refresh in flight or starts one; nil when the limit forbids it, and after run has ended. again says that one was made for kid
// a moment ago, in vain: such a kid is given less of what there is.
func (k *keyring) force(kid string, again bool) *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.flight; f != nil {
		f.want(kid)
		k.stats.joined.Add(1)
		return f
	}
	if k.ended {
		return nil
	}
	if !k.allowance.first(k.now(), again) {
		k.stats.suppressed.Add(1)
		return nil
	}
	k.stats.forced.Add(1)
	// The refresh belongs to nobody who waits for it: one that goes away does not fail the others.
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{first: make(chan struct{}), done: make(chan struct{}), cancel: cancel, wanted: map[string]struct{}{kid: {}}}
	k.flight = f
	k.flights.Go(func() { k.fly(ctx, f) })
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
		if set == nil || (kid != "" && set.keys[kid] == nil) {
			return true
		}
	}
	return false
}

// fly looks once or twice. No login waits for what it writes to disk.
func (k *keyring) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	before := k.current.Load()
	_, _ = k.refresh(ctx) // logged there; the waiting look at the current set
	close(f.first)
	if f.missing(k.current.Load()) && k.mayLookAgain() {
		select {
		case <-time.After(secondLook):
			_, _ = k.refresh(ctx) // as above
		case <-ctx.Done():
		}
	}
	k.mu.Lock()
	k.flight = nil
	k.mu.Unlock()
	close(f.done)
	if set := k.current.Load(); set != before {
		k.keep(set)
	}
}

// end forbids further flights, and returns when the one under way has broken off.
func (k *keyring) end() {
	k.mu.Lock()
	k.ended = true
	if k.flight != nil {
		k.flight.cancel()
	}
	k.mu.Unlock()
	k.flights.Wait()
}

func (k *keyring) mayLookAgain() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.allowance.second(k.now())
}

// refresh fetches once and takes a good set over. The last good one stays in force otherwise (DESIGN P9). That it broke off
// with ctx says nothing about the provider, and is neither counted nor logged.
func (k *keyring) refresh(ctx context.Context) (time.Duration, error) {
	number := k.asked.Add(1)
	set, maxAge, err := k.source.keys(ctx)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	k.stats.count(err)
	if err != nil {
		if k.current.Load() == nil {
			k.log.Warn("keys cannot be fetched; until they can, no token of this issuer is judged", zap.Error(err))
		} else {
			k.log.Warn("keys were not refreshed; the last good ones stay in force", zap.Error(err),
				zap.Duration("age", k.age().Round(time.Second)), zap.Duration("stale_limit", k.staleLimit))
		}
		return 0, err
	}
	set.number = number
	k.take(set)
	return maxAge, nil
}

// take puts set in force unless a newer one came in the meantime.
func (k *keyring) take(set *keySet) {
	for {
		old := k.current.Load()
		if old != nil {
			if old.number > set.number {
				return
			}
			set.generation = old.generation
		}
		others := old == nil || old.hash != set.hash
		if others {
			set.generation++
		}
		if !k.current.CompareAndSwap(old, set) {
			continue
		}
		if others {
			k.log.Info("keys in force", zap.String("key_set", set.hash), zap.Strings("kids", set.ids()), zap.Int("unusable", set.skipped))
			for _, changed := range k.changed {
				changed()
			}
		}
		return
	}
}

// keep writes the set to disk, so that it survives a restart while the provider cannot be reached.
func (k *keyring) keep(set *keySet) {
	if k.file == nil || set == nil {
		return
	}
	if err := k.file.save(set); err != nil {
		k.log.Error("keys cannot be kept on disk; after a restart during an outage of the provider they would be missing", zap.Error(err))
	}
}

// restore puts the set that an earlier run kept in force, with its age.
func (k *keyring) restore() {
	if k.file == nil {
		return
	}
	set, err := k.file.load(k.now())
	switch {
	case err != nil:
		k.log.Error("the keys of an earlier run cannot be used", zap.Error(err))
	case set != nil:
		k.take(set)
		k.log.Warn("the keys of an earlier run are in force until they can be fetched", zap.Duration("age", k.age().Round(time.Second)), zap.Duration("stale_limit", k.staleLimit))
	}
}

// run refreshes until ctx ends: at the pace that the provider asks for, within bounds, and with backoff while it cannot
// be reached. It returns when nothing of the keyring runs any more. It is called once.
func (k *keyring) run(ctx context.Context) {
	defer k.end()
	failures := 0
	for {
		maxAge, err := k.refresh(ctx)
		k.firstTried()
		wait := refreshAfter(maxAge)
		if err != nil {
			failures++
			wait = backoff(failures)
		} else {
			failures = 0
			k.keep(k.current.Load())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (k *keyring) firstTried() {
	select {
	case <-k.tried:
	default:
		close(k.tried)
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

// backoff is a random time between minBackoff and a bound that doubles with each failure, up to maxBackoff.
func backoff(failures int) time.Duration {
	bound := min(minBackoff<<min(failures, 6), maxBackoff)
	return minBackoff + rand.N(bound-minBackoff) //nolint:gosec // spreads load, guards nothing
}

// shareOf returns ctx with a part of the time that is left of it.
func shareOf(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, fetchTimeout)
	}
	return context.WithTimeout(ctx, time.Duration(part*float64(time.Until(deadline))))
}
