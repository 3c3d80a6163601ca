package tokencheck

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"

	"filippo.io/bigmod"
)

// crypto/rsa prepares the arithmetic with a key's modulus anew for each signature, a third of what a verification takes. Here it is
// prepared once for each key, by the same code: bigmod is crypto/rsa's own, published.

// preparedModulus returns n made ready, nil for one with which crypto/rsa verifies nothing.
func preparedModulus(n *big.Int) *bigmod.Modulus {
	if n.Sign() <= 0 || n.Bit(0) == 0 {
		return nil
	}
	m, err := bigmod.NewModulus(n.Bytes())
	if err != nil {
		return nil
	}
	return m
}

// digestInfo is what stands before a digest in a signature (RFC 8017 section 9.2, note 1).
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// verifyPKCS1 is RSASSA-PKCS1-v1_5 (RFC 7518 section 3.3), step by step as in RFC 8017 section 8.2.2.
func verifyPKCS1(k *key, h crypto.Hash, input, signature []byte) bool {
	if k.modulus == nil || len(signature) != k.modulus.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // not below the modulus
		return false
	}
	m := s.ExpShortVarTime(s, uint(k.public.(*rsa.PublicKey).E), k.modulus).Bytes(k.modulus)
	return bytes.Equal(m, encodePKCS1(len(m), h, digest(h, input)))
}

// encodePKCS1 is EMSA-PKCS1-v1_5 (RFC 8017 section 9.2) in size bytes, of which there are enough for every hash: a key has
// minRSABits or more.
func encodePKCS1(size int, h crypto.Hash, sum []byte) []byte {
	info := digestInfo[h]
	m := make([]byte, size)
	m[1] = 1
	for i := 2; i < size-len(info)-len(sum)-1; i++ {
		m[i] = 0xff
	}
	copy(m[size-len(info)-len(sum):], info)
	copy(m[size-len(sum):], sum)
	return m
}
