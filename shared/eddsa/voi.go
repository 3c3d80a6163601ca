//go:build !(riscv64 || loong64 || mips64 || mips64le || wasm)

package eddsa

import (
	std "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// curve25519-voi takes about 0.55 of crypto/ed25519's time with AVX2 and 0.9 without assembly (BenchmarkEd25519). std.go is for 64 bit
// platforms on which it calculates with 32 bits and takes longer. Both sign and judge alike; tests and a fuzz target for each hold
// this one against crypto/ed25519.

// Sign signs message, whatever its length. Safe for concurrent use.
func Sign(private std.PrivateKey, message []byte) []byte {
	return ed25519.Sign(ed25519.PrivateKey(private), message)
}

// Key is a public key to verify with, kept as a point with its multiples: 1.5 KiB. The zero Key must not be used. Safe for concurrent
// use.
type Key struct{ expanded *ed25519.ExpandedPublicKey }

// NewKey returns false for what is not 32 bytes or no point of the curve; with the latter crypto/ed25519 verifies nothing.
func NewKey(public []byte) (Key, bool) {
	expanded, err := ed25519.NewExpandedPublicKey(public)
	return Key{expanded}, err == nil
}

// asStd is crypto/ed25519's verdict: without the cofactor, S below the group's order, R compared as bytes, a public key canonical or
// not, of small order or not.
var asStd = &ed25519.Options{Verify: ed25519.VerifyOptionsStdLib}

// Verify reports whether signature is the key's over message. It is false for a signature of another length than 64 bytes.
func (k Key) Verify(message, signature []byte) bool {
	return ed25519.VerifyExpandedWithOptions(k.expanded, message, signature, asStd)
}
