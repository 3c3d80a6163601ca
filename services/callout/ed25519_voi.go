//go:build !(riscv64 || loong64 || mips64 || mips64le || wasm)

package callout

import (
	std "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// A login costs two signatures and one verification. curve25519-voi makes them in about 0.55 of crypto/ed25519's time with
// AVX2 and in 0.9 without assembly (BenchmarkEd25519). ed25519_std.go is for 64 bit platforms on which it calculates with 32 bits and
// takes longer. Both sign and judge alike; tests and a fuzz target for each hold this one against crypto/ed25519.

// sign signs message (RFC 8032 section 5.1.6, which leaves nothing to chance).
func sign(private std.PrivateKey, message []byte) []byte {
	return ed25519.Sign(ed25519.PrivateKey(private), message)
}

// verifyingKey is a public key that is kept as a point with its multiples, 1.5 KiB.
type verifyingKey struct{ expanded *ed25519.ExpandedPublicKey }

// newVerifyingKey returns false for what is no point of the curve, with which crypto/ed25519 verifies nothing.
func newVerifyingKey(public []byte) (verifyingKey, bool) {
	expanded, err := ed25519.NewExpandedPublicKey(public)
	return verifyingKey{expanded}, err == nil
}

// asStd is crypto/ed25519's verdict: without the cofactor, S below the group's order, R compared as bytes, a public key canonical or
// not, of small order or not.
var asStd = &ed25519.Options{Verify: ed25519.VerifyOptionsStdLib}

func (k verifyingKey) verify(message, signature []byte) bool {
	return ed25519.VerifyExpandedWithOptions(k.expanded, message, signature, asStd)
}
