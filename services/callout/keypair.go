package callout

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/eddsa"
)

// signingKey is an account's key behind nkeys' interface with the Ed25519 private key expanded once. nkeys derives it
// from the seed again at every Sign; the signatures are the same, byte for byte.
type signingKey struct {
	private ed25519.PrivateKey
	public  string // A...
}

var errSignOnly = errors.New("this key pair only signs")

// newSigningKey reads an account seed (SA...).
func newSigningKey(seed []byte) (*signingKey, error) {
	prefix, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || prefix != nkeys.PrefixByteAccount {
		return nil, errors.New("not an account seed (SA...)")
	}
	private := ed25519.NewKeyFromSeed(raw)
	public, err := nkeys.Encode(nkeys.PrefixByteAccount, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	return &signingKey{private: private, public: string(public)}, nil
}

// PublicKey returns the account's public key.
func (k *signingKey) PublicKey() (string, error) { return k.public, nil }

// Sign signs input with Ed25519.
func (k *signingKey) Sign(input []byte) ([]byte, error) { return eddsa.Sign(k.private, input), nil }

// Verify checks sig over input.
func (k *signingKey) Verify(input, sig []byte) error {
	if !ed25519.Verify(k.private.Public().(ed25519.PublicKey), input, sig) {
		return nkeys.ErrInvalidSignature
	}
	return nil
}

// Seed is refused: the seed does not leave this type.
func (k *signingKey) Seed() ([]byte, error) { return nil, errSignOnly }

// PrivateKey is refused: the key does not leave this type.
func (k *signingKey) PrivateKey() ([]byte, error) { return nil, errSignOnly }

// Wipe forgets the private key.
func (k *signingKey) Wipe() { clear(k.private) }

// Seal is an operation of curve keys.
func (k *signingKey) Seal([]byte, string) ([]byte, error) { return nil, nkeys.ErrInvalidNKeyOperation }

// SealWithRand is an operation of curve keys.
func (k *signingKey) SealWithRand([]byte, string, io.Reader) ([]byte, error) {
	return nil, nkeys.ErrInvalidNKeyOperation
}

// Open is an operation of curve keys.
func (k *signingKey) Open([]byte, string) ([]byte, error) { return nil, nkeys.ErrInvalidNKeyOperation }
