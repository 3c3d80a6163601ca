//go:build riscv64 || loong64 || mips64 || mips64le || wasm

package eddsa

import (
	"crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/curve"
)

// See voi.go.

func sign(private ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(private, message) }

// multiples are not used here.
type multiples struct{}

func multiplesOf(*curve.EdwardsPoint) *multiples { return nil }

func (k Key) verify(message, signature []byte) bool {
	return ed25519.Verify(k.public, message, signature)
}
