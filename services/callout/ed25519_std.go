//go:build riscv64 || loong64 || mips64 || mips64le || wasm

package callout

import "crypto/ed25519"

// See ed25519_voi.go.

// sign signs message.
func sign(private ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(private, message) }

// verifyingKey is a public key.
type verifyingKey struct{ public ed25519.PublicKey }

// newVerifyingKey returns false for what is no key.
func newVerifyingKey(public []byte) (verifyingKey, bool) {
	return verifyingKey{public}, len(public) == ed25519.PublicKeySize
}

func (k verifyingKey) verify(message, signature []byte) bool {
	return ed25519.Verify(k.public, message, signature)
}
