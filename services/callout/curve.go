package callout

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/nacl/box"
)

// curveKey is a curve key pair with the secret that it shares with each server computed once. nkeys computes it again at
// every Seal and Open; the boxes are the same. Safe for concurrent use.
type curveKey struct {
	nkeys.KeyPair
	private [32]byte

	mu     sync.RWMutex // guards shared, held for one look or one change
	shared map[string]*[32]byte
}

// newCurveKey reads a curve seed (SX...).
func newCurveKey(seed []byte) (nkeys.KeyPair, error) {
	pair, err := nkeys.FromCurveSeed(seed)
	if err != nil {
		return nil, errors.New("not a curve seed (SX...)")
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, errors.New("not a curve seed (SX...)")
	}
	defer clear(raw)
	return &curveKey{KeyPair: pair, private: [32]byte(raw)}, nil
}

// boxNonce is the length of the nonce between nkeys' version and the box.
const boxNonce = 24

// Open opens what sender (X...) sealed for this key, as nkeys does.
func (k *curveKey) Open(input []byte, sender string) ([]byte, error) {
	const head = len(nkeys.XKeyVersionV1) + boxNonce
	shared, kept := k.secret(sender)
	if shared == nil || len(input) <= head || string(input[:len(nkeys.XKeyVersionV1)]) != nkeys.XKeyVersionV1 {
		return k.KeyPair.Open(input, sender) // for the error
	}
	nonce := [boxNonce]byte(input[len(nkeys.XKeyVersionV1):head])
	opened, ok := box.OpenAfterPrecomputation(make([]byte, 0, len(input)), input[head:], &nonce, shared)
	if !ok {
		return nil, nkeys.ErrCouldNotDecrypt
	}
	if !kept {
		k.keep(sender, shared)
	}
	return opened, nil
}

// Seal seals input for recipient (X...), as nkeys does.
func (k *curveKey) Seal(input []byte, recipient string) ([]byte, error) {
	shared, _ := k.secret(recipient)
	if shared == nil {
		return k.KeyPair.Seal(input, recipient) // for the error
	}
	out := make([]byte, len(nkeys.XKeyVersionV1)+boxNonce, len(nkeys.XKeyVersionV1)+boxNonce+box.Overhead+len(input))
	var nonce [boxNonce]byte
	_, _ = rand.Read(nonce[:]) // never fails
	copy(out, nkeys.XKeyVersionV1)
	copy(out[len(nkeys.XKeyVersionV1):], nonce[:])
	return box.SealAfterPrecomputation(out, input, &nonce, shared), nil
}

// secret returns what this key shares with peer, nil when that is no public curve key; kept says that it was kept.
func (k *curveKey) secret(peer string) (shared *[32]byte, kept bool) {
	k.mu.RLock()
	shared = k.shared[peer]
	k.mu.RUnlock()
	if shared != nil {
		return shared, true
	}
	raw, err := nkeys.Decode(nkeys.PrefixByteCurve, []byte(peer))
	if err != nil || len(raw) != 32 {
		return nil, false
	}
	public := [32]byte(raw)
	shared = new([32]byte)
	box.Precompute(shared, &public, &k.private)
	return shared, false
}

// keep keeps the secret of a peer that sealed something with it, at most of maxServers peers.
func (k *curveKey) keep(peer string, shared *[32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shared == nil || len(k.shared) >= maxServers {
		k.shared = make(map[string]*[32]byte)
	}
	k.shared[strings.Clone(peer)] = shared
}

// Wipe forgets the private key and every secret.
func (k *curveKey) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.private[:])
	for _, s := range k.shared {
		clear(s[:])
	}
	k.shared = nil
	k.KeyPair.Wipe()
}
