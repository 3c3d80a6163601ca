package tokencheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// algorithm says which keys an alg (RFC 7518 section 3.1, RFC 8037) takes and how long its signatures are.
type algorithm struct {
	jwa       jwa.SignatureAlgorithm
	fits      func(crypto.PublicKey) bool
	signature func(crypto.PublicKey) int // bytes
}

// algorithms are all that can be configured. There is no HMAC among them: a public key must never become a secret.
var algorithms = map[string]algorithm{
	"RS256": {jwa.RS256, isRSA, rsaSignature},
	"RS384": {jwa.RS384, isRSA, rsaSignature},
	"RS512": {jwa.RS512, isRSA, rsaSignature},
	"PS256": {jwa.PS256, isRSA, rsaSignature},
	"PS384": {jwa.PS384, isRSA, rsaSignature},
	"PS512": {jwa.PS512, isRSA, rsaSignature},
	"ES256": {jwa.ES256, isCurve(elliptic.P256()), fixed(64)},
	"ES384": {jwa.ES384, isCurve(elliptic.P384()), fixed(96)},
	"ES512": {jwa.ES512, isCurve(elliptic.P521()), fixed(132)},
	"EdDSA": {jwa.EdDSA, isEd25519, fixed(ed25519.SignatureSize)},
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
