//go:build riscv64 || loong64 || mips64 || mips64le || wasm

package eddsa

import "crypto/ed25519"

// See voi.go.

func sign(private ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(private, message) }

func (k Key) verify(message, signature []byte) bool {
	return ed25519.Verify(k.public, message, signature)
}
