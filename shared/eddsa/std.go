//go:build riscv64 || loong64 || mips64 || mips64le || wasm

package eddsa

import "crypto/ed25519"

// See voi.go.

// Sign signs message.
func Sign(private ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(private, message) }

// Key is a public key to verify with.
type Key struct{ public ed25519.PublicKey }

// NewKey returns false for what is not 32 bytes.
func NewKey(public []byte) (Key, bool) {
	return Key{public}, len(public) == ed25519.PublicKeySize
}

// Verify reports whether signature is the key's over message.
func (k Key) Verify(message, signature []byte) bool {
	return ed25519.Verify(k.public, message, signature)
}
