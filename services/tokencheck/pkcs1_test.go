package tokencheck

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// rawRSA is an RSA key that signs any number, so that a signature can say anything.
type rawRSA struct {
	public *rsa.PublicKey
	d      *big.Int
}

func newRawRSA(t testing.TB, bits, e int) *rawRSA {
	t.Helper()
	one, exponent := big.NewInt(1), big.NewInt(int64(e))
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			t.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		n := new(big.Int).Mul(p, q)
		if d := new(big.Int).ModInverse(exponent, phi); d != nil && n.BitLen() == bits {
			return &rawRSA{&rsa.PublicKey{N: n, E: e}, d}
		}
	}
}

// sign returns what the encoded message m is the verification of.
func (k *rawRSA) sign(m []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(m), k.d, k.public.N)
	return s.FillBytes(make([]byte, k.public.Size()))
}

// samePKCS1 compares a verdict with that of crypto/rsa and returns what both say.
func samePKCS1(t testing.TB, k *key, h crypto.Hash, input, signature []byte) bool {
	t.Helper()
	public := k.public.(*rsa.PublicKey)
	got, want := verifyPKCS1(k, h, input, signature), rsa.VerifyPKCS1v15(public, h, digest(h, input), signature) == nil
	if got != want {
		t.Fatalf("%t, crypto/rsa says %t: modulus %x, exponent %d, %v of %x, signature %x", got, want, public.N, public.E, h, input, signature)
	}
	return got
}

var pkcs1Hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// TestPKCS1AsRSA holds signatures that are right, nearly right and forged against crypto/rsa.
func TestPKCS1AsRSA(t *testing.T) {
	input := []byte("header.payload")
	for _, k := range []struct{ bits, e int }{{2048, 65537}, {2049, 3}, {2055, maxRSAExponent}, {3072, 65537}} {
		signer := newRawRSA(t, k.bits, k.e)
		verifier := newKey(signer.public)
		for i, h := range pkcs1Hashes {
			t.Run(fmt.Sprintf("%d bits, exponent %d, %v", k.bits, k.e, h), func(t *testing.T) {
				sum, other := digest(h, input), pkcs1Hashes[(i+1)%len(pkcs1Hashes)]
				good := signer.sign(encodePKCS1(signer.public.Size(), h, sum))
				if !samePKCS1(t, verifier, h, input, good) {
					t.Fatal("a good signature is refused")
				}
				for name, signature := range wrongSignatures(signer, sum, h, other) {
					if samePKCS1(t, verifier, h, input, signature) {
						t.Errorf("%s: valid", name)
					}
				}
				samePKCS1(t, verifier, other, input, good)
				samePKCS1(t, verifier, h, append(input, 'x'), good)
				for bit := 0; bit < 8*len(good); bit += 31 {
					changed := bytes.Clone(good)
					changed[bit/8] ^= 1 << (bit % 8)
					if samePKCS1(t, verifier, h, input, changed) {
						t.Errorf("valid without bit %d", bit)
					}
				}
			})
		}
	}
}

// wrongSignatures are near the signature of the digest sum, made with hash; other is another hash.
func wrongSignatures(signer *rawRSA, sum []byte, hash, other crypto.Hash) map[string][]byte {
	size := signer.public.Size()
	m := encodePKCS1(size, hash, sum)
	good := signer.sign(m)
	with := func(change func(m []byte)) []byte {
		changed := bytes.Clone(m)
		change(changed)
		return signer.sign(changed)
	}
	// packed has this before the digest and the padding that then fits.
	packed := func(info []byte) []byte {
		return signer.sign(slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-len(sum)-3), []byte{0}, info, sum))
	}
	info := digestInfo[hash]
	wrong := map[string][]byte{
		"empty": nil, "zero": make([]byte, size), "one": append(make([]byte, size-1), 1), "all ones": bytes.Repeat([]byte{0xff}, size),
		"short": good[:size-1], "long": append(bytes.Clone(good), 0), "a zero before it": append([]byte{0}, good...),
		"the modulus":          signer.public.N.FillBytes(make([]byte, size)),
		"one below it":         new(big.Int).Sub(signer.public.N, big.NewInt(1)).FillBytes(make([]byte, size)),
		"one above it":         new(big.Int).Add(signer.public.N, big.NewInt(1)).FillBytes(make([]byte, size)),
		"block type 2":         with(func(m []byte) { m[1] = 2 }),
		"block type 0":         with(func(m []byte) { m[1] = 0 }),
		"a hole in padding":    with(func(m []byte) { m[9] = 0xfe }),
		"an end in padding":    with(func(m []byte) { m[9] = 0 }),
		"no end of padding":    with(func(m []byte) { m[size-len(sum)-len(info)-1] = 0xff }),
		"another digest":       with(func(m []byte) { m[size-1]++ }),
		"no digest info":       packed(nil),
		"the info of another":  packed(digestInfo[other]),
		"no NULL in the info":  packed(slices.Concat([]byte{0x30, info[1] - 2, 0x30, 0x0b}, info[4:15], info[17:])),
		"length in two bytes":  packed(append([]byte{0x30, 0x81}, info[1:]...)),
		"what follows is free": signer.sign(slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info, sum, make([]byte, size-11-len(info)-len(sum)))),
	}
	// The same number modulo N, where it has room.
	if above := new(big.Int).Add(new(big.Int).SetBytes(good), signer.public.N); above.BitLen() <= 8*size {
		wrong["the modulus added"] = above.FillBytes(make([]byte, size))
	}
	return wrong
}

// TestPKCS1OddKeys: with a modulus or an exponent that crypto/rsa does not take, nothing verifies.
func TestPKCS1OddKeys(t *testing.T) {
	input := []byte("header.payload")
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	k := newKey(&rsa.PublicKey{N: even, E: 65537})
	if k.modulus != nil || samePKCS1(t, k, crypto.SHA256, input, make([]byte, 256)) {
		t.Error("an even modulus verifies")
	}
	for _, n := range []*big.Int{big.NewInt(-3), new(big.Int), big.NewInt(1)} {
		if preparedModulus(n) != nil {
			t.Errorf("%v is a modulus", n)
		}
	}
}

// FuzzPKCS1AsRSA: any signature, and one of any message that is near an encoded one, is judged as crypto/rsa judges it.
func FuzzPKCS1AsRSA(f *testing.F) {
	signer := newRawRSA(f, 2048, 65537)
	k := newKey(signer.public)
	f.Add(uint(0), []byte("a.b"), []byte{1}, uint(0), byte(0))
	f.Add(uint(1), []byte("a.b"), bytes.Repeat([]byte{0xff}, 256), uint(1), byte(3))
	f.Add(uint(2), []byte{}, make([]byte, 256), uint(255), byte(0x80))
	f.Fuzz(func(t *testing.T, n uint, input, signature []byte, at uint, change byte) {
		h := pkcs1Hashes[n%3]
		samePKCS1(t, k, h, input, signature)
		m := encodePKCS1(256, h, digest(h, input))
		m[at%256] ^= change
		if m[0] != 0 { // as a rule not below the modulus
			return
		}
		if valid := samePKCS1(t, k, h, input, signer.sign(m)); valid != (change == 0) {
			t.Fatalf("valid %t with byte %d changed by %x", valid, at%256, change)
		}
	})
}

// TestPKCS1WithZerosInFront: a signature may begin with zeros, and may not be sent without them.
func TestPKCS1WithZerosInFront(t *testing.T) {
	signer := newRawRSA(t, 2048, 65537)
	k := newKey(signer.public)
	for i := 0; ; i++ {
		input := fmt.Appendf(nil, "%d", i)
		s := signer.sign(encodePKCS1(256, crypto.SHA256, digest(crypto.SHA256, input)))
		if s[0] != 0 {
			continue
		}
		if !samePKCS1(t, k, crypto.SHA256, input, s) || samePKCS1(t, k, crypto.SHA256, input, s[1:]) {
			t.Error("zeros in front matter not, or are missed not")
		}
		return
	}
}
