package tokencheck

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// clock is a clock that a test moves. It is for one goroutine.
type clock struct{ ahead time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.ahead) }

// newCached returns an issuer, its verifier, and what the verifier remembers of it.
func newCached(t *testing.T, now func() time.Time, change func(*IssuerConfig)) (*oidctest.Issuer, *verifier, *issuer) {
	t.Helper()
	idp := oidctest.New(t, "RS256", "ES256")
	cfg := issuerConfig(idp.URL)
	if change != nil {
		change(&cfg)
	}
	v := newTestVerifier(t, now, cfg)
	return idp, v, v.issuers[idp.URL]
}

func (c *verdicts) expect(t *testing.T, hits, misses int64) {
	t.Helper()
	if h, m := c.stats.hits.Load(), c.stats.misses.Load(); h != hits || m != misses {
		t.Errorf("%d hits and %d misses, want %d and %d", h, m, hits, misses)
	}
}

func judged(t *testing.T, v *verifier, token, certificate string, want wire.Code) {
	t.Helper()
	if _, fail := v.verify(withBudget(t), token, certificate); code(fail) != want {
		t.Errorf("got %v, want %v", fail, want)
	}
}

func TestCacheHit(t *testing.T) {
	c := &clock{}
	idp, v, iss := newCached(t, c.now, nil)
	token := idp.Token(t, "sensor-a")
	first, fail := v.judge(withBudget(t), token, "")
	if fail != nil {
		t.Fatal(fail)
	}
	second, fail := v.judge(withBudget(t), token, "")
	if fail != nil {
		t.Fatal(fail)
	}
	iss.verdicts.expect(t, 1, 1)
	if string(first.reply) != string(second.reply) {
		t.Errorf("%s and then %s", first.reply, second.reply)
	}
	var decoded wire.Verified
	if err := json.Unmarshal(second.reply, &decoded); err != nil || decoded.Subject != oidctest.SubjectOf("sensor-a") {
		t.Errorf("the reply says %+v, %v", decoded, err)
	}
	c.ahead = verdictTTL + time.Second
	judged(t, v, token, "", 0)
	iss.verdicts.expect(t, 1, 2)
}

// TestCacheEndsWithToken: no verdict outlives its token, and one that is over but for the leeway is not remembered.
func TestCacheEndsWithToken(t *testing.T) {
	c := &clock{}
	idp, v, iss := newCached(t, c.now, nil)
	token := idp.Mint(t, "ES256", idp.AccessToken("sensor-a").With(oidctest.Claims{"exp": time.Now().Unix() + 20}))
	judged(t, v, token, "", 0)
	judged(t, v, token, "", 0)
	iss.verdicts.expect(t, 1, 1)
	c.ahead = 25 * time.Second // over, inside the leeway
	judged(t, v, token, "", 0)
	judged(t, v, token, "", 0)
	iss.verdicts.expect(t, 1, 3)
	c.ahead = 55 * time.Second
	judged(t, v, token, "", wire.TokenExpired)
	iss.verdicts.expect(t, 1, 3)
}

// TestCacheRemembersNoRefusal: a bad token is judged each time and leaves nothing behind.
func TestCacheRemembersNoRefusal(t *testing.T) {
	idp, v, iss := newCached(t, time.Now, nil)
	bad := idp.Token(t, "sensor-a")
	bad = bad[:len(bad)-8] + "AAAAAAAA"
	for range 3 {
		judged(t, v, bad, "", wire.SignatureInvalid)
	}
	if held := iss.verdicts.figures(); held.Entries != 0 || held.Bytes != 0 {
		t.Errorf("remembered: %+v", held)
	}
}

// TestCacheRemovedKey: a key that is gone takes its verdicts with it, also when it was another key that stayed.
func TestCacheRemovedKey(t *testing.T) {
	c := &clock{}
	idp, v, iss := newCached(t, c.now, nil)
	gone, stays := idp.Token(t, "sensor-a"), idp.Mint(t, "ES256", idp.AccessToken("sensor-b"))
	for range 2 {
		judged(t, v, gone, "", 0)
		judged(t, v, stays, "", 0)
	}
	iss.verdicts.expect(t, 2, 2)
	idp.Remove(idp.Key(t, "RS256"))
	c.ahead = 10 * time.Second
	if _, err := iss.keys.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := iss.verdicts.figures(); held.Entries != 0 || held.Bytes != 0 {
		t.Errorf("of the keys before are kept: %+v", held)
	}
	judged(t, v, gone, "", wire.KeyUnknown)
	judged(t, v, stays, "", 0)
	iss.verdicts.expect(t, 2, 3)
}

// TestCacheStaleKeys: keys beyond the stale limit do not admit what was verified with them either.
func TestCacheStaleKeys(t *testing.T) {
	c := &clock{}
	idp, v, iss := newCached(t, c.now, func(cfg *IssuerConfig) { cfg.StaleLimit = time.Minute })
	judged(t, v, idp.Token(t, "sensor-a"), "", 0)
	idp.Fail(503)
	c.ahead = 50 * time.Second
	token := idp.Token(t, "sensor-b")
	judged(t, v, token, "", 0)
	judged(t, v, token, "", 0)
	iss.verdicts.expect(t, 1, 2)
	c.ahead = time.Minute + time.Second
	judged(t, v, token, "", wire.KeySetStale)
}

// TestCacheBinding: a token that is bound to a certificate needs it each time, whoever came with it before.
func TestCacheBinding(t *testing.T) {
	const certificateA, certificateB = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
	idp, v, iss := newCached(t, time.Now, nil)
	bound := idp.Mint(t, "RS256", idp.AccessToken("sensor-a").With(oidctest.Claims{"cnf": map[string]any{"x5t#S256": certificateA}}))
	judged(t, v, bound, certificateA, 0)
	judged(t, v, bound, certificateB, wire.CertificateMismatch)
	judged(t, v, bound, "", wire.CertificateMismatch)
	judged(t, v, bound, certificateA, 0)
	iss.verdicts.expect(t, 3, 1)
}

// TestCacheBounds: neither entries nor bytes go beyond their bound, and the bytes are counted right.
func TestCacheBounds(t *testing.T) {
	idp, v, iss := newCached(t, time.Now, func(cfg *IssuerConfig) { cfg.CacheEntries = 8 })
	for i := range 20 {
		judged(t, v, idp.Mint(t, "ES256", idp.AccessToken(fmt.Sprint("sensor-", i))), "", 0)
		if held := iss.verdicts.figures(); held.Entries > 8 {
			t.Fatalf("%+v", held)
		}
	}
	small := newVerdicts(1000, 10_000)
	for i := range 100 {
		small.add(verdictKey{generation: uint64(i % 50)}, &verdict{reply: make([]byte, i*10), until: 1 << 62})
		want := 0
		for _, known := range small.known.lru.Values() {
			want += known.bytes()
		}
		if small.known.bytes != want || want > 10_000 || want == 0 {
			t.Fatalf("%d bytes are counted, %d are there", small.known.bytes, want)
		}
	}
	small.add(verdictKey{}, &verdict{reply: make([]byte, 20_000), until: 1 << 62})
	if held := small.figures(); held.Entries != 0 || held.Bytes != 0 {
		t.Errorf("one entry over the bound: %+v", held)
	}
}

// TestCacheCoalesces: a hundred connections with one token cost one signature check, though none is remembered when they
// come: they all wait for the first keys together.
func TestCacheCoalesces(t *testing.T) {
	idp, v, iss := newCached(t, time.Now, nil)
	token := idp.Token(t, "sensor-a")
	var logins sync.WaitGroup
	for range 100 {
		logins.Go(func() { judged(t, v, token, "", 0) })
	}
	logins.Wait()
	s := &iss.verdicts.stats
	if s.misses.Load() != 1 || s.hits.Load()+s.joined.Load() != 99 {
		t.Errorf("%d signature checks, %d hits, %d joined", s.misses.Load(), s.hits.Load(), s.joined.Load())
	}
}

// TestCacheIssuersAreApart: what one issuer's cache holds is nothing to another's.
func TestCacheIssuersAreApart(t *testing.T) {
	a, b := oidctest.New(t), oidctest.New(t)
	v := newTestVerifier(t, time.Now, issuerConfig(a.URL), issuerConfig(b.URL))
	for range 2 {
		judged(t, v, a.Token(t, "x"), "", 0)
	}
	token := b.Token(t, "x")
	judged(t, v, token, "", 0)
	judged(t, v, token, "", 0)
	v.issuers[a.URL].verdicts.expect(t, 0, 2)
	v.issuers[b.URL].verdicts.expect(t, 1, 1)
}

func TestRememberUntil(t *testing.T) {
	now := time.Unix(1_700_000_000, 5)
	for _, row := range []struct{ expires, want int64 }{
		{now.Unix() + 10, (now.Unix() + 10) * 1e9},
		{now.Unix() + 3600, now.Add(verdictTTL).UnixNano()},
		{now.Unix() + 1e10, now.Add(verdictTTL).UnixNano()}, // after the last nanosecond of an int64
	} {
		if got := rememberUntil(now, row.expires); got != row.want {
			t.Errorf("%d: until %d, want %d", row.expires, got, row.want)
		}
	}
}
