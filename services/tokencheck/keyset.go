package tokencheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/bigmod"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"harmony.internal/authcallout/shared/eddsa"
	"harmony.internal/authcallout/shared/strictjson"
)

// key is one usable public key of an issuer. id is empty when the provider gives it none.
type key struct {
	id        string
	algorithm string // the key's own alg, empty when it names none
	public    crypto.PublicKey
	print     string // of all of it (RFC 7638)
	// What is verified with, prepared once.
	modulus *bigmod.Modulus // of an RSA key; nil for one with which nothing verifies
	edwards eddsa.Key       // of an Ed25519 key, as above
}

// keySet is an issuer's usable keys, immutable. asked is when the request for it was sent: a login that
// began secondLook before that and whose kid is absent here is refused for good.
type keySet struct {
	keys    map[string]*key // by kid
	only    *key            // the usable key when there is one alone, with or without a kid
	hash    string
	skipped int       // keys that were there and cannot be used
	asked   time.Time // by the wall clock
	number  uint64    // of the fetch, in this process; 0 for a set of an earlier one
	text    []byte    // as it was received
	// generation counts the sets with other keys that were in force before. The keyring sets it when it takes the set over.
	generation uint64
}

const (
	maxKeySetBytes = 1 << 20
	maxKeys        = 64
	minRSABits     = 2048
	maxRSABits     = 8192
	maxRSAExponent = 1<<31 - 1 // crypto/rsa's own bound
)

var keySetLimits = strictjson.Limits{MaxBytes: maxKeySetBytes, MaxDepth: 8, MaxMembers: 1 << 14}

// Errors of a key set that is not taken over (DESIGN P9).
var (
	errNoUsableKey = errors.New("no usable key in the set")
	errTooManyKeys = fmt.Errorf("more than %d keys", maxKeys)
	errNotKeySet   = errors.New("not a JSON object with keys (RFC 7517 section 5)")
)

// parseKeySet reads a JWK set (RFC 7517 section 5). Keys that cannot be used are skipped and counted: unknown types,
// encryption keys, symmetric and private ones, weak ones, different ones that share a kid, and those without a kid unless
// there is one key alone.
func parseKeySet(data []byte, asked time.Time) (*keySet, error) {
	if err := strictjson.CheckObject(data, keySetLimits, "keys"); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotKeySet, err)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &doc); err != nil || doc.Keys == nil {
		return nil, errNotKeySet
	}
	if len(doc.Keys) > maxKeys {
		return nil, errTooManyKeys
	}
	set := &keySet{keys: make(map[string]*key, len(doc.Keys)), asked: asked.Round(0), text: data}
	ambiguous := map[string]bool{}
	for _, raw := range doc.Keys {
		k, err := parseKey(raw)
		if err != nil {
			set.skipped++
			continue
		}
		switch other := set.keys[k.id]; {
		case other == nil && !ambiguous[k.id]:
			set.keys[k.id] = k
		case other != nil && other.print == k.print:
			set.skipped++ // the same once more
		case other != nil:
			ambiguous[k.id] = true
			delete(set.keys, k.id)
			set.skipped += 2
		default:
			set.skipped++
		}
	}
	if len(set.keys) == 1 {
		for _, k := range set.keys {
			set.only = k
		}
	}
	if set.keys[""] != nil {
		delete(set.keys, "") // to be found by no kid
		if set.only == nil {
			set.skipped++
		}
	}
	if len(set.keys) == 0 && set.only == nil {
		return nil, errNoUsableKey
	}
	set.hash = set.fingerprint()
	return set, nil
}

var errUnusable = errors.New("not usable")

func parseKey(raw json.RawMessage) (*key, error) {
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	name := parsed.Algorithm().String()
	if _, known := algorithms[name]; name != "" && !known {
		return nil, errUnusable
	}
	if len(parsed.KeyID()) > maxKeyIDBytes || (parsed.KeyUsage() != "" && parsed.KeyUsage() != "sig") {
		return nil, errUnusable
	}
	if ops := parsed.KeyOps(); len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) {
		return nil, errUnusable
	}
	var public any
	if err := parsed.Raw(&public); err != nil {
		return nil, err
	}
	if !strong(public) {
		return nil, errUnusable
	}
	thumb, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k := newKey(public)
	k.id, k.algorithm, k.print = parsed.KeyID(), name, fmt.Sprintf("%q %q %x", parsed.KeyID(), name, thumb)
	return k, nil
}

// newKey returns a key of no name that any fitting algorithm may use.
func newKey(public crypto.PublicKey) *key {
	k := &key{public: public}
	switch public := public.(type) {
	case *rsa.PublicKey:
		k.modulus = preparedModulus(public.N)
	case ed25519.PublicKey:
		k.edwards, _ = eddsa.NewKey(public)
	}
	return k
}

// strong reports whether a key is public, of a type that is used here, and neither weak nor so large that verifying
// with it would be a burden (RFC 8725 section 3.5).
func strong(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && k.E >= 3 && k.E%2 == 1 && k.E <= maxRSAExponent
	case *ecdsa.PublicKey:
		_, err := k.ECDH() // is the point on a curve that is known
		return err == nil
	case ed25519.PublicKey:
		point, ok := eddsa.NewKey(k)
		return ok && !point.SmallOrder()
	}
	return false
}

// fingerprint names the usable keys, whatever the order in which they were sent.
func (s *keySet) fingerprint() string {
	lines := make([]string, 0, len(s.keys)+1)
	for _, k := range s.keys {
		lines = append(lines, k.print)
	}
	if s.only != nil && len(s.keys) == 0 {
		lines = append(lines, s.only.print)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

// ids are the kids of the set, for a record.
func (s *keySet) ids() []string {
	ids := make([]string, 0, len(s.keys))
	for id := range s.keys {
		ids = append(ids, bounded(id))
	}
	slices.Sort(ids)
	return ids
}

// maxNamedKids bounds how many kids a refusal names.
const maxNamedKids = 8

// some are the first kids of the set, for a refusal.
func (s *keySet) some() []string {
	ids := s.ids()
	if more := len(ids) - maxNamedKids; more > 0 {
		ids = append(ids[:maxNamedKids], fmt.Sprintf("and %d more", more))
	}
	return ids
}
