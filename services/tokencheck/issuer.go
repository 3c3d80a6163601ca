package tokencheck

import (
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
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
	// introspector is nil where nothing is introspected.
	introspector *introspector
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
	log = log.With(zap.String("issuer", cfg.Issuer))
	i := &issuer{
		issuerRules: rules,
		keys:        newKeyring(fetch, cfg.StaleLimit, now, log),
		verdicts:    newVerdicts(cfg.CacheEntries, cfg.CacheBytes),
	}
	i.keys.changed = append(i.keys.changed, i.verdicts.forget) // their generation is over; this gives the memory back
	if cfg.Introspect != introspectNever {
		if i.introspector, err = newIntrospector(cfg, fetch, now, log); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// keyringStats counts since the start.
type keyringStats struct {
	fetched, unreachable, status, unusable atomic.Int64
	forced, joined, suppressed             atomic.Int64
}

// count counts one fetch.
func (s *keyringStats) count(err error) {
	switch {
	case err == nil:
		s.fetched.Add(1)
	case errors.Is(err, errUnreachable):
		s.unreachable.Add(1)
	case errors.Is(err, errStatus):
		s.status.Add(1)
	default:
		s.unusable.Add(1)
	}
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
	// Restored says that the keys are those of an earlier run, and none could be fetched yet.
	Restored bool `json:"restored,omitempty"`
	// Fetched are good fetches. The others brought no answer in time, another answer than 200, or one without usable keys of
	// this issuer.
	Fetched     int64 `json:"fetched"`
	Unreachable int64 `json:"unreachable"`
	Status      int64 `json:"bad_status"`
	Unusable    int64 `json:"unusable"`
	// Forced refreshes were caused by an unknown kid; Joined logins waited for one that was under way; Suppressed ones
	// were over the limit.
	Forced     int64 `json:"forced"`
	Joined     int64 `json:"joined"`
	Suppressed int64 `json:"suppressed"`
	// Cache is what the memory of verified tokens did and holds.
	Cache CacheStats `json:"cache"`
	// Introspection is absent where nothing is introspected.
	Introspection *IntrospectionStats `json:"introspection,omitempty"`
}

// CacheStats are of one issuer's verified tokens. Hits were answered without a signature check, Joined waited for that of
// another login with the same token, Misses made one.
type CacheStats struct {
	Hits    int64 `json:"hits"`
	Joined  int64 `json:"joined"`
	Misses  int64 `json:"misses"`
	Entries int   `json:"entries"`
	Bytes   int   `json:"bytes"`
}

// IntrospectionStats count questions about tokens since the start: answered by the provider, not answered, not asked
// because too many were open, and answered from memory.
type IntrospectionStats struct {
	Active     int64 `json:"active"`
	Inactive   int64 `json:"inactive"`
	Failed     int64 `json:"failed"`
	Busy       int64 `json:"busy"`
	Remembered int64 `json:"remembered"`
}

func (i *issuer) stats() IssuerStats {
	k := i.keys
	s := IssuerStats{
		Fetched: k.stats.fetched.Load(), Unreachable: k.stats.unreachable.Load(), Status: k.stats.status.Load(), Unusable: k.stats.unusable.Load(),
		Forced: k.stats.forced.Load(), Joined: k.stats.joined.Load(), Suppressed: k.stats.suppressed.Load(),
	}
	if set := k.current.Load(); set != nil {
		s.KeySet, s.Keys, s.KeysSkipped = set.hash, set.ids(), set.skipped
		s.AgeSeconds, s.Restored = int64(k.age()/time.Second), set.number == 0
	}
	s.Cache = i.verdicts.figures()
	if i.introspector != nil {
		n := &i.introspector.stats
		s.Introspection = &IntrospectionStats{
			Active: n.active.Load(), Inactive: n.inactive.Load(), Failed: n.failed.Load(), Busy: n.busy.Load(), Remembered: n.remembered.Load(),
		}
	}
	return s
}
