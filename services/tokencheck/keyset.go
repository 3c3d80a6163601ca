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

	"github.com/lestrrat-go/jwx/v2/jwk"

	"harmony.internal/authcallout/shared/strictjson"
)

// key is one usable public key of an issuer.
type key struct {
	id        string
	algorithm string // the key's own alg, empty when it names none
	public    crypto.PublicKey
}

// keySet is an issuer's usable keys, immutable. asked is when the request for it was sent: a kid first seen before that
// and absent here is unknown for good.
type keySet struct {
	keys    map[string]*key
	hash    string
	skipped int // keys that were there and cannot be used
	asked   time.Time
	// generation counts the sets with other keys that were in force before. The keyring sets it when it takes the set over.
	generation uint64
}

const (
	maxKeySetBytes = 1 << 20
	maxKeys        = 64
	minRSABits     = 2048
	maxRSABits     = 8192
)

var keySetLimits = strictjson.Limits{MaxBytes: maxKeySetBytes, MaxDepth: 8, MaxMembers: 1 << 14}

// Errors of a key set that is not taken over (DESIGN P9).
var (
	errNoUsableKey = errors.New("no usable key in the set")
	errTooManyKeys = fmt.Errorf("more than %d keys", maxKeys)
	errNotKeySet   = errors.New("not a JSON object with keys (RFC 7517 section 5)")
)

// parseKeySet reads a JWK set (RFC 7517 section 5). Keys that cannot be used are skipped and counted: unknown types,
// encryption keys, symmetric and private ones, weak ones, those without a kid, and all that share one.
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
	set := &keySet{keys: make(map[string]*key, len(doc.Keys)), asked: asked}
	twice := map[string]bool{}
	for _, raw := range doc.Keys {
		k, err := parseKey(raw)
		if err != nil {
			set.skipped++
			continue
		}
		if set.keys[k.id] != nil || twice[k.id] {
			twice[k.id] = true
			delete(set.keys, k.id)
			set.skipped++
			continue
		}
		set.keys[k.id] = k
	}
	if len(set.keys) == 0 {
		return nil, errNoUsableKey
	}
	var err error
	set.hash, err = set.fingerprint()
	return set, err
}

var errUnusable = errors.New("not usable")

func parseKey(raw json.RawMessage) (*key, error) {
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	if parsed.KeyID() == "" || len(parsed.KeyID()) > maxKeyIDBytes || (parsed.KeyUsage() != "" && parsed.KeyUsage() != "sig") {
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
	return &key{id: parsed.KeyID(), algorithm: parsed.Algorithm().String(), public: public}, nil
}

// strong reports whether a key is public, of a type that is used here, and neither weak nor so large that verifying
// with it would be a burden (RFC 8725 section 3.5).
func strong(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && k.E >= 3 && k.E%2 == 1
	case *ecdsa.PublicKey:
		_, err := k.ECDH() // is the point on a curve that is known
		return err == nil
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// fingerprint names the usable keys, whatever the order in which they were sent.
func (s *keySet) fingerprint() (string, error) {
	lines := make([]string, 0, len(s.keys))
	for _, k := range s.keys {
		j, err := jwk.FromRaw(k.public)
		if err != nil {
			return "", err
		}
		thumb, err := j.Thumbprint(crypto.SHA256)
		if err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintf("%q %q %x", k.id, k.algorithm, thumb))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8]), nil
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
