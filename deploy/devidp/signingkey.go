package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

const rsaBits = 2048

// signingKey signs tokens and is published in the key set. It is an op.SigningKey; published is its other half.
type signingKey struct {
	id        string
	algorithm string
	private   crypto.Signer
}

func (k signingKey) ID() string { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm {
	return jose.SignatureAlgorithm(k.algorithm)
}
func (k signingKey) Key() any { return k.private }

// published is the public half as the key set shows it, an op.Key.
type published struct{ key signingKey }

func (p published) ID() string                         { return p.key.id }
func (p published) Algorithm() jose.SignatureAlgorithm { return p.key.SignatureAlgorithm() }
func (p published) Use() string                        { return "sig" }
func (p published) Key() any                           { return p.key.private.Public() }

func newPrivateKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "RS256", "RS384", "RS512":
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, unknownAlgorithm(algorithm)
}

// storedKey is a signing key at rest.
type storedKey struct {
	ID        string `json:"id"`
	Algorithm string `json:"algorithm"`
	PKCS8     string `json:"pkcs8"` // PEM
}

func newStoredKey(algorithm string) (storedKey, error) {
	key, err := newPrivateKey(algorithm)
	if err != nil {
		return storedKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return storedKey{}, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return storedKey{ID: newID(), Algorithm: algorithm, PKCS8: string(block)}, nil
}

func (s storedKey) open() (signingKey, error) {
	block, _ := pem.Decode([]byte(s.PKCS8))
	if block == nil {
		return signingKey{}, fmt.Errorf("signing key %s is not PEM", s.ID)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, fmt.Errorf("signing key %s: %w", s.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return signingKey{}, fmt.Errorf("signing key %s cannot sign", s.ID)
	}
	return signingKey{id: s.ID, algorithm: s.Algorithm, private: private}, nil
}

var errNoSigningKey = errors.New("the data directory holds no signing key")
