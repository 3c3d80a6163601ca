package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Key is a signing key, made for one test.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
	public    jwk.Key
}

var lastKeyID atomic.Int64

// newKey makes a key; its id looks like Zitadel's.
func newKey(t testing.TB, alg string) *Key {
	t.Helper()
	private, err := generate(alg)
	if err != nil {
		t.Fatalf("oidctest: %s: %v", alg, err)
	}
	k := &Key{ID: strconv.FormatInt(400938385641835558+lastKeyID.Add(1), 10), Algorithm: alg, Private: private}
	k.public = k.JWK(t)
	return k
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// JWK returns the public key as it is published.
func (k *Key) JWK(t testing.TB) jwk.Key {
	t.Helper()
	public, err := jwk.FromRaw(k.Private.Public())
	if err != nil {
		t.Fatalf("oidctest: %v", err)
	}
	for name, value := range map[string]any{jwk.KeyIDKey: k.ID, jwk.AlgorithmKey: k.Algorithm, jwk.KeyUsageKey: "sig"} {
		if err := public.Set(name, value); err != nil {
			t.Fatalf("oidctest: %v", err)
		}
	}
	return public
}
