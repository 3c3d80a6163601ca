// Package eddsa signs and verifies with Ed25519 (RFC 8032 section 5.1) as crypto/ed25519 does, in less time: the signatures are the
// same bytes, and every verdict on every key and signature is the same. It makes no keys, reads no encoding of them, and knows neither
// the variants with a context or a hash of the message nor another curve.
package eddsa

import (
	"bytes"
	std "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/curve"
)

// Sign signs message, whatever its length. Safe for concurrent use.
func Sign(private std.PrivateKey, message []byte) []byte { return sign(private, message) }

// Key is a public key to verify with, kept (on the platforms of voi.go) with multiples of its point: 40 KiB, made in the time of four
// verifications. With the zero Key nothing verifies. Safe for concurrent use.
type Key struct {
	public     std.PublicKey // nil for none
	negated    *multiples    // of the point's negative
	smallOrder bool
}

// NewKey returns the zero Key and false for what is not 32 bytes or no point of the curve; with the latter crypto/ed25519 verifies
// nothing.
func NewKey(public []byte) (Key, bool) {
	var compressed curve.CompressedEdwardsY
	var point curve.EdwardsPoint
	if _, err := compressed.SetBytes(public); err != nil {
		return Key{}, false
	}
	if _, err := point.SetCompressedY(&compressed); err != nil {
		return Key{}, false
	}
	smallOrder := point.IsSmallOrder()
	return Key{public: bytes.Clone(public), negated: multiplesOf(point.Neg(&point)), smallOrder: smallOrder}, true
}

// SmallOrder says that anybody can sign for the key, without a private key (RFC 8032 section 5.1.7 lets such keys pass, and so do
// Verify and crypto/ed25519).
func (k Key) SmallOrder() bool { return k.smallOrder }

// Verify reports whether signature is the key's over message. It is false for a signature of another length than 64 bytes.
func (k Key) Verify(message, signature []byte) bool {
	return k.public != nil && len(signature) == std.SignatureSize && k.verify(message, signature)
}
