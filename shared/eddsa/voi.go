//go:build !(riscv64 || loong64 || mips64 || mips64le || wasm)

package eddsa

import (
	std "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// curve25519-voi takes about 0.55 of crypto/ed25519's time with AVX2 and 0.9 without assembly (BenchmarkEd25519). std.go is for 64 bit
// platforms on which it calculates with 32 bits and takes longer. Both sign and judge alike; tests and a fuzz target for each hold
// this one against crypto/ed25519.

func sign(private std.PrivateKey, message []byte) []byte {
	return ed25519.Sign(ed25519.PrivateKey(private), message)
}

// asStd is crypto/ed25519's verdict: without the cofactor, S below the group's order, R compared as bytes, a public key canonical or
// not, of small order or not.
var asStd = &ed25519.Options{Verify: ed25519.VerifyOptionsStdLib}

func (k Key) verify(message, signature []byte) bool {
	return ed25519.VerifyExpandedWithOptions(k.expanded, message, signature, asStd)
}
