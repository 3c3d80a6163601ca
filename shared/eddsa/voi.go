//go:build !(riscv64 || loong64 || mips64 || mips64le || wasm)

package eddsa

import (
	"bytes"
	std "crypto/ed25519"
	"crypto/sha512"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// curve25519-voi signs in about 0.55 of crypto/ed25519's time with AVX2 and 0.95 without assembly. Verification uses its arithmetic with
// a table for each key, as it and crypto/ed25519 have one for the base point alone: 0.34 of crypto/ed25519's time, 0.68 without
// assembly, where its own verification takes 0.5 and 0.9 (BenchmarkEd25519). std.go is for 64 bit platforms on which it calculates
// with 32 bits and takes longer. Both sign and judge alike; tests and a fuzz target for each hold this one against crypto/ed25519.

func sign(private std.PrivateKey, message []byte) []byte {
	return ed25519.Sign(ed25519.PrivateKey(private), message)
}

type multiples = curve.EdwardsBasepointTable

func multiplesOf(p *curve.EdwardsPoint) *multiples { return curve.NewEdwardsBasepointTable(p) }

// verify decides as crypto/ed25519 does: R = [S]B - [H(R,A,M)]A without the cofactor, S below the group's order, R compared as bytes
// and A hashed as it came.
func (k Key) verify(message, signature []byte) bool {
	r := signature[:32]
	var s, h scalar.Scalar
	if _, err := s.SetCanonicalBytes(signature[32:]); err != nil {
		return false
	}
	var digest [sha512.Size]byte
	hash := sha512.New()
	_, _ = hash.Write(r) // a hash takes everything
	_, _ = hash.Write(k.public)
	_, _ = hash.Write(message)
	if _, err := h.SetBytesModOrderWide(hash.Sum(digest[:0])); err != nil {
		return false
	}
	var sB, hA, sum curve.EdwardsPoint
	sB.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, &s)
	hA.MulBasepoint(k.negated, &h)
	var compressed curve.CompressedEdwardsY
	compressed.SetEdwardsPoint(sum.Add(&sB, &hA))
	return bytes.Equal(compressed[:], r)
}
