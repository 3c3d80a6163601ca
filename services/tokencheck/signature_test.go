package tokencheck

import (
	"bytes"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"harmony.internal/authcallout/shared/oidctest"
)

// everyAlgorithm is all that can be configured.
var everyAlgorithm = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// jwxVerifies is the reference: what jwx says about a token and a key.
func jwxVerifies(token, alg string, k *key) bool {
	_, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(alg), k.public))
	return err == nil
}

// mutations are signatures that are near a good one: each must be judged as jwx judges it.
func mutations(good []byte) [][]byte {
	out := [][]byte{good, nil, make([]byte, len(good)), bytes.Repeat([]byte{0xff}, len(good)), good[:len(good)-1], append(bytes.Clone(good), 0), append([]byte{0}, good...)}
	for _, i := range []int{0, 1, len(good)/2 - 1, len(good) / 2, len(good) - 1} {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(good)
			changed[i] ^= bit
			out = append(out, changed)
		}
	}
	// r and s in each other's place
	return append(out, append(bytes.Clone(good[len(good)/2:]), good[:len(good)/2]...))
}

// TestSignatureAsJWX holds every algorithm with every key against jwx, with good and with damaged signatures.
func TestSignatureAsJWX(t *testing.T) {
	if len(everyAlgorithm) != len(algorithms) {
		t.Fatalf("%d algorithms are tested of %d", len(everyAlgorithm), len(algorithms))
	}
	idp := oidctest.New(t, everyAlgorithm...)
	for _, alg := range everyAlgorithm {
		t.Run(alg, func(t *testing.T) {
			signer := idp.Key(t, alg)
			token := signer.Sign(t, nil, idp.AccessToken("sensor-a"))
			parts, fail := parseCompact(token)
			if fail != nil {
				t.Fatal(fail)
			}
			for _, other := range everyAlgorithm {
				k := newKey(idp.Key(t, other).Private.Public())
				for _, as := range everyAlgorithm {
					got, want := checkSignature(parts, as, k) == nil, jwxVerifies(token, as, k)
					if got != want || got != (as == alg && other == alg) {
						t.Errorf("as %s with the key of %s: %v, jwx says %v", as, other, got, want)
					}
				}
			}
			k := newKey(signer.Private.Public())
			for i, signature := range mutations(parts.signature) {
				damaged := parts.signed() + "." + oidctest.Encode(signature)
				got := checkSignature(&compact{text: damaged, signature: signature}, alg, k) == nil
				if want := jwxVerifies(damaged, alg, k); got != want || got != (i == 0) {
					t.Errorf("mutation %d: %v, jwx says %v", i, got, want)
				}
			}
		})
	}
}

// FuzzSignatureAsJWX holds tokens with any signature, header and payload against jwx.
func FuzzSignatureAsJWX(f *testing.F) {
	idp := oidctest.New(f, everyAlgorithm...)
	keys := map[string]*key{}
	for i, alg := range everyAlgorithm {
		signer := idp.Key(f, alg)
		keys[alg] = newKey(signer.Private.Public())
		parts, fail := parseCompact(signer.Sign(f, nil, oidctest.Claims{"sub": "a"}))
		if fail != nil {
			f.Fatal(fail)
		}
		f.Add(uint(i), parts.header, parts.payload, parts.signature)
	}
	f.Fuzz(func(t *testing.T, n uint, header, payload, signature []byte) {
		alg := everyAlgorithm[n%uint(len(everyAlgorithm))]
		text := oidctest.Encode(header) + "." + oidctest.Encode(payload) + "." + oidctest.Encode(signature)
		parts, fail := parseCompact(text)
		if fail != nil {
			return
		}
		// jwx reads the header too and refuses more than we do at this point: what it accepts we accept, and nothing is accepted
		// here that its bare verifier does not accept.
		got := checkSignature(parts, alg, keys[alg]) == nil
		if jwxVerifies(text, alg, keys[alg]) && !got {
			t.Fatalf("%s: jwx accepts what is refused here", alg)
		}
		verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
		if err != nil {
			t.Fatal(err)
		}
		if want := verifier.Verify([]byte(parts.signed()), signature, keys[alg].public) == nil; got != want {
			t.Fatalf("%s: %v, jwx says %v", alg, got, want)
		}
	})
}
