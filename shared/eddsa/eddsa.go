// Package eddsa signs and verifies with Ed25519 (RFC 8032 section 5.1) as crypto/ed25519 does, in less time: the signatures are the
// same bytes, and every verdict on every key and signature is the same. It makes no keys, reads no encoding of them, and knows neither
// the variants with a context or a hash of the message nor another curve.
package eddsa

import (
	"bytes"
	std "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Sign signs message, whatever its length. Safe for concurrent use.
func Sign(private std.PrivateKey, message []byte) []byte { return sign(private, message) }

// Key is a public key to verify with, kept as a point with its multiples: 1.5 KiB. With the zero Key nothing verifies. Safe for
// concurrent use.
type Key struct {
	public     std.PublicKey
	expanded   *ed25519.ExpandedPublicKey // nil for none
	smallOrder bool
}

// NewKey returns the zero Key and false for what is not 32 bytes or no point of the curve; with the latter crypto/ed25519 verifies
// nothing.
func NewKey(public []byte) (Key, bool) {
	expanded, err := ed25519.NewExpandedPublicKey(public)
	if err != nil {
		return Key{}, false
	}
	k := Key{public: bytes.Clone(public), expanded: expanded}
	var compressed curve.CompressedEdwardsY
	var point curve.EdwardsPoint
	if _, err = compressed.SetBytes(public); err == nil {
		_, err = point.SetCompressedY(&compressed)
	}
	k.smallOrder = err != nil || point.IsSmallOrder()
	return k, true
}

// SmallOrder says that anybody can sign for the key, without a private key (RFC 8032 section 5.1.7 lets such keys pass, and so do
// Verify and crypto/ed25519).
func (k Key) SmallOrder() bool { return k.smallOrder }

// Verify reports whether signature is the key's over message. It is false for a signature of another length than 64 bytes.
func (k Key) Verify(message, signature []byte) bool {
	return k.expanded != nil && k.verify(message, signature)
}
