package tokencheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"harmony.internal/authcallout/shared/wire"
)

// verdictTTL is how long a verified token is remembered, if it does not expire before.
const verdictTTL = time.Minute

// entryOverhead is about what an entry takes besides its reply and roleOverhead what a role takes besides its name, in bytes.
const (
	entryOverhead = 1536
	roleOverhead  = 32
)

// verdict is a token that passed every check but those of one login. Immutable.
type verdict struct {
	reply []byte    // a wire.Verified, encoded
	about judgement // what the checks of one login look at
	until int64     // Unix nanoseconds; it is not remembered from then on
}

// conclude says what a token whose signature was verified stands for.
func (j *judgement) conclude(now time.Time) (*verdict, *wire.Error) {
	v := &verdict{
		until: rememberUntil(now, j.claims.expires),
		// No more of the claims than that: they are as large as the token.
		about: judgement{issuer: j.issuer, header: j.header, claims: &claims{subject: j.claims.subject}, set: j.set, roles: j.roles, binding: j.binding},
	}
	var err error
	if v.reply, err = wire.Encode(j.verified()); err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	if cap(v.reply)-len(v.reply) > entryOverhead {
		v.reply = bytes.Clone(v.reply) // it may be kept for a while
	}
	return v, nil
}

// rememberUntil is verdictTTL from now in Unix nanoseconds, or expires (Unix seconds) if that is earlier. Moments are compared
// as such, because one that is far away has no nanoseconds that fit.
func rememberUntil(now time.Time, expires int64) int64 {
	until := now.Add(verdictTTL)
	if end := time.Unix(expires, 0); end.Before(until) {
		until = end
	}
	return until.UnixNano()
}

// withRoles returns the verdict with fewer roles.
func (v *verdict) withRoles(roles []string) (*verdict, *wire.Error) {
	verified, err := wire.Decode[wire.Verified](v.reply, len(v.reply))
	if err != nil {
		return nil, wire.Fail(wire.Internal, "decode", err)
	}
	narrower := *v
	verified.Roles = roles
	if narrower.reply, err = wire.Encode(verified); err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	return &narrower, nil
}

// recall fills j with what the checks of one login look at.
func (v *verdict) recall(j *judgement) {
	token, certificate := j.token, j.certificate
	*j = v.about
	j.token, j.certificate = token, certificate
}

func (v *verdict) bytes() int {
	n := entryOverhead + cap(v.reply)
	for _, role := range v.about.roles {
		n += roleOverhead + len(role)
	}
	return n
}

// verdictKey names what a verdict depends on: the token's SHA-256 and the generation of the key set. The issuer's
// configuration, the third, does not change during the life of an issuer, and each issuer has a cache of its own.
type verdictKey struct {
	token      [sha256.Size]byte
	generation uint64
}

func (k verdictKey) name() string {
	var name [sha256.Size + 8]byte
	copy(name[:], k.token[:])
	binary.BigEndian.PutUint64(name[sha256.Size:], k.generation)
	return string(name[:])
}

// verdicts remembers an issuer's verified tokens for a short time, bounded by their number and their size, the least
// recently used forgotten first. Refusals are not remembered: they would let anybody fill it. Safe for concurrent use.
type verdicts struct {
	flights singleflight.Group

	mu    sync.Mutex // guards known, held for one step of it
	known *sized[verdictKey, *verdict]

	stats struct{ hits, misses, joined atomic.Int64 }
}

// newVerdicts returns a cache of at most maxEntries, which is positive, and maxBytes.
func newVerdicts(maxEntries, maxBytes int) *verdicts {
	return &verdicts{known: newSized[verdictKey, *verdict](maxEntries, maxBytes)}
}

// get returns the verdict that is remembered for k, nil for none.
func (c *verdicts) get(k verdictKey, now time.Time) *verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known.get(k)
	switch {
	case !ok:
		return nil
	case now.UnixNano() >= v.until:
		c.known.remove(k)
		return nil
	}
	return v
}

func (c *verdicts) add(k verdictKey, v *verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.add(k, v)
}

// forget forgets everything.
func (c *verdicts) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.purge()
}

func (c *verdicts) figures() CacheStats {
	c.mu.Lock()
	entries, size := c.known.count(), c.known.bytes
	c.mu.Unlock()
	return CacheStats{Hits: c.stats.hits.Load(), Joined: c.stats.joined.Load(), Misses: c.stats.misses.Load(), Entries: entries, Bytes: size}
}

// once returns the verdict for k: that of another login that is making it, the one that is remembered, or what judge
// returns. judge must not wait for anything: a login that goes away then takes nothing from the others. It sets until;
// a verdict that is over is not remembered.
func (c *verdicts) once(k verdictKey, now time.Time, judge func() (*verdict, *wire.Error)) (*verdict, *wire.Error) {
	type outcome struct {
		verdict *verdict
		fail    *wire.Error
	}
	led := false
	made, _, _ := c.flights.Do(k.name(), func() (any, error) {
		led = true
		// Another may have made it since this login looked.
		if v := c.get(k, now); v != nil {
			c.stats.hits.Add(1)
			return outcome{v, nil}, nil
		}
		c.stats.misses.Add(1)
		v, fail := judge()
		if fail == nil && now.UnixNano() < v.until {
			c.add(k, v)
		}
		return outcome{v, fail}, nil
	})
	if !led {
		c.stats.joined.Add(1)
	}
	o := made.(outcome)
	return o.verdict, o.fail
}
