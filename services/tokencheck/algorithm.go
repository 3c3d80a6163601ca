package tokencheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512" // as above
)

// algorithm says which keys an alg (RFC 7518 section 3.1, RFC 8037) takes, how long its signatures are, and how they are
// verified. verify is only called with a key that fits and a signature of that length.
type algorithm struct {
	hash      crypto.Hash
	fits      func(crypto.PublicKey) bool
	signature func(crypto.PublicKey) int // bytes
	verify    func(k *key, h crypto.Hash, input, signature []byte) bool
}

// algorithms are all that can be configured. There is no HMAC among them: a public key must never become a secret.
var algorithms = map[string]algorithm{
	"RS256": {crypto.SHA256, isRSA, rsaSignature, verifyPKCS1},
	"RS384": {crypto.SHA384, isRSA, rsaSignature, verifyPKCS1},
	"RS512": {crypto.SHA512, isRSA, rsaSignature, verifyPKCS1},
	"PS256": {crypto.SHA256, isRSA, rsaSignature, verifyPSS},
	"PS384": {crypto.SHA384, isRSA, rsaSignature, verifyPSS},
	"PS512": {crypto.SHA512, isRSA, rsaSignature, verifyPSS},
	"ES256": {crypto.SHA256, isCurve(elliptic.P256()), fixed(64), verifyECDSA},
	"ES384": {crypto.SHA384, isCurve(elliptic.P384()), fixed(96), verifyECDSA},
	"ES512": {crypto.SHA512, isCurve(elliptic.P521()), fixed(132), verifyECDSA},
	"EdDSA": {0, isEd25519, fixed(ed25519.SignatureSize), verifyEd25519},
}

func isRSA(k crypto.PublicKey) bool {
	_, ok := k.(*rsa.PublicKey)
	return ok
}

func isCurve(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(k crypto.PublicKey) bool {
		ec, ok := k.(*ecdsa.PublicKey)
		return ok && ec.Curve == curve
	}
}

func isEd25519(k crypto.PublicKey) bool {
	_, ok := k.(ed25519.PublicKey)
	return ok
}

func rsaSignature(k crypto.PublicKey) int { return k.(*rsa.PublicKey).Size() }

func fixed(n int) func(crypto.PublicKey) int {
	return func(crypto.PublicKey) int { return n }
}
