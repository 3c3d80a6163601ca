package tokencheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"math/big"

	"harmony.internal/authcallout/shared/wire"
)

// checkSignature verifies with exactly the key and the algorithm that were named, after both were found to fit each
// other (RFC 8725 section 3.1). It does with crypto what jwx does with it, and no more: jwx reads the whole token once
// again, which costs more than an RSA verification. Tests and a fuzz target hold the two against each other.
func checkSignature(parts *compact, name string, k *key) *wire.Error {
	alg, ok := algorithms[name]
	if !ok || !alg.fits(k.public) || (k.algorithm != "" && k.algorithm != name) {
		return wire.Fail(wire.KeyMismatch, "", nil)
	}
	if len(parts.signature) != alg.signature(k.public) {
		return wire.Fail(wire.SignatureInvalid, "length", nil)
	}
	if !alg.verify(k, alg.hash, []byte(parts.signed()), parts.signature) {
		return wire.Fail(wire.SignatureInvalid, "", nil)
	}
	return nil
}

// verifyPSS is RSASSA-PSS with a salt as long as the hash (RFC 7518 section 3.5).
func verifyPSS(k *key, h crypto.Hash, input, signature []byte) bool {
	return rsa.VerifyPSS(k.public.(*rsa.PublicKey), h, digest(h, input), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// verifyECDSA takes r and s one after the other, each as long as the curve's order (RFC 7518 section 3.4).
func verifyECDSA(k *key, h crypto.Hash, input, signature []byte) bool {
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	return ecdsa.Verify(k.public.(*ecdsa.PublicKey), digest(h, input), r, s)
}

// verifyEd25519 is RFC 8037 section 3.1.
func verifyEd25519(k *key, _ crypto.Hash, input, signature []byte) bool {
	return k.edwards.Verify(input, signature)
}

func digest(h crypto.Hash, input []byte) []byte {
	sum := h.New()
	sum.Write(input) // a hash takes everything
	return sum.Sum(nil)
}
