package callout

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/nats-io/nkeys"
)

// The expanded key is nkeys' own, operation by operation.
func TestSigningKeyEqualsNkeys(t *testing.T) {
	for range 20 {
		theirs := must(nkeys.CreateAccount())
		mine := must(newSigningKey(must(theirs.Seed())))
		if a, b := must(mine.PublicKey()), must(theirs.PublicKey()); a != b {
			t.Fatalf("public key %s, nkeys says %s", a, b)
		}
		message := make([]byte, 700)
		if _, err := rand.Read(message); err != nil {
			t.Fatal(err)
		}
		sig := must(mine.Sign(message))
		if !bytes.Equal(sig, must(theirs.Sign(message))) {
			t.Fatal("the signatures differ")
		}
		if err := theirs.Verify(message, sig); err != nil {
			t.Error(err)
		}
		if err := mine.Verify(message, sig); err != nil {
			t.Error(err)
		}
		sig[0] ^= 1
		if err := mine.Verify(message, sig); err == nil {
			t.Error("a changed signature verifies")
		}
	}
}

func TestSigningKeyKeepsItsSecret(t *testing.T) {
	key := newIssuer(t)
	if _, err := key.Seed(); err == nil {
		t.Error("Seed is handed out")
	}
	if _, err := key.PrivateKey(); err == nil {
		t.Error("PrivateKey is handed out")
	}
	if _, err := key.Seal(nil, ""); err == nil {
		t.Error("Seal works")
	}
	if _, err := key.SealWithRand(nil, "", rand.Reader); err == nil {
		t.Error("SealWithRand works")
	}
	if _, err := key.Open(nil, ""); err == nil {
		t.Error("Open works")
	}
	before := append([]byte(nil), key.private...)
	key.Wipe()
	if bytes.Equal(before, key.private) {
		t.Error("Wipe leaves the key")
	}
}

func TestSeedsOfTheWrongKind(t *testing.T) {
	account := must(must(nkeys.CreateAccount()).Seed())
	user := must(must(nkeys.CreateUser()).Seed())
	curve := must(must(nkeys.CreateCurveKeys()).Seed())
	for _, seed := range [][]byte{user, curve, account[:20], []byte("hello"), nil} {
		if _, err := newSigningKey(seed); err == nil {
			t.Error("a seed that is no account's was taken")
		} else if len(seed) > 0 && bytes.Contains([]byte(err.Error()), seed) {
			t.Error("the error holds the seed")
		}
	}
	for _, seed := range [][]byte{user, account, curve[:20], nil} {
		if _, err := newCurveKey(seed); err == nil {
			t.Error("a seed that is no curve key's was taken")
		}
	}
	if _, err := newCurveKey(curve); err != nil {
		t.Error(err)
	}
}

func BenchmarkSign(b *testing.B) {
	theirs := must(nkeys.CreateAccount())
	mine := must(newSigningKey(must(theirs.Seed())))
	message := make([]byte, 700)
	for name, key := range map[string]nkeys.KeyPair{"nkeys": theirs, "expanded": mine} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = key.Sign(message)
			}
		})
	}
}
