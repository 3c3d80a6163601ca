package tokencheck

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// issuerRules is what one issuer's configuration says about its tokens, ready for use.
type issuerRules struct {
	*IssuerConfig
	required []required
}

func newIssuerRules(cfg *IssuerConfig) (*issuerRules, error) {
	required, err := requirements(cfg.RequiredClaims)
	if err != nil {
		return nil, err
	}
	return &issuerRules{IssuerConfig: cfg, required: required}, nil
}

// issuer is one provider: its rules and its keys. Nothing of it is shared with another.
type issuer struct {
	*issuerRules
	keys     *keyring
	verdicts *verdicts
}

// remembered returns the verdict on a token of this SHA-256 that the keys in force still stand for, nil for none.
func (i *issuer) remembered(sum [sha256.Size]byte, now time.Time) *verdict {
	set := i.keys.inForce()
	if set == nil {
		return nil
	}
	known := i.verdicts.get(verdictKey{sum, set.generation}, now)
	if known != nil {
		i.verdicts.stats.hits.Add(1)
	}
	return known
}

func newIssuer(cfg *IssuerConfig, now func() time.Time, log *zap.Logger) (*issuer, error) {
	rules, err := newIssuerRules(cfg)
	if err != nil {
		return nil, err
	}
	fetch, err := newFetcher(cfg, now)
	if err != nil {
		return nil, err
	}
	i := &issuer{
		issuerRules: rules,
		keys:        newKeyring(fetch, cfg.StaleLimit, now, log.With(zap.String("issuer", cfg.Issuer))),
		verdicts:    newVerdicts(cfg.CacheEntries, cfg.CacheBytes),
	}
	i.keys.changed = i.verdicts.forget // their generation is over; this gives the memory back
	return i, nil
}

// checkSize holds a token's length against the issuer's own bound.
func (i *issuer) checkSize(token string) *wire.Error {
	if len(token) > i.MaxTokenBytes {
		return wire.Fail(wire.TokenTooLarge, "", nil)
	}
	return nil
}

// keyringStats counts since the start.
type keyringStats struct {
	fetched, failed, forced, joined, suppressed atomic.Int64
}

// IssuerStats is what `nats micro stats tokencheck` shows of one issuer. Fetches and refreshes are counted since the
// start.
type IssuerStats struct {
	// KeySet names the usable keys; replicas that agree show the same. Empty before the first good fetch.
	KeySet string `json:"key_set"`
	// Keys are the kids in force, KeysSkipped how many of the set cannot be used.
	Keys        []string `json:"keys"`
	KeysSkipped int      `json:"keys_skipped"`
	// AgeSeconds is how long ago the keys were fetched.
	AgeSeconds int64 `json:"age_s"`
	Fetched    int64 `json:"fetched"`
	Failed     int64 `json:"failed"`
	// Forced refreshes were caused by an unknown kid; Joined logins waited for one that was under way; Suppressed ones
	// were over the limit.
	Forced     int64 `json:"forced"`
	Joined     int64 `json:"joined"`
	Suppressed int64 `json:"suppressed"`
}

func (i *issuer) stats() IssuerStats {
	k := i.keys
	s := IssuerStats{
		Fetched: k.stats.fetched.Load(), Failed: k.stats.failed.Load(),
		Forced: k.stats.forced.Load(), Joined: k.stats.joined.Load(), Suppressed: k.stats.suppressed.Load(),
	}
	if set := k.current.Load(); set != nil {
		s.KeySet, s.Keys, s.KeysSkipped = set.hash, set.ids(), set.skipped
		s.AgeSeconds = int64(k.age() / time.Second)
	}
	return s
}
