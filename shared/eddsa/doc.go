// Package eddsa signs and verifies with Ed25519 (RFC 8032 section 5.1) as crypto/ed25519 does, in less time: the signatures are the
// same bytes, and every verdict on every key and signature is the same. It makes no keys, reads no encoding of them, and knows neither
// the variants with a context or a hash of the message nor another curve.
package eddsa
