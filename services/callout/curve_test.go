package callout

import (
	"bytes"
	"testing"

	"github.com/nats-io/nkeys"
)

// TestCurveKeyAsNkeys: what one seals the other opens, at the first time and when the secret is kept, and both refuse the same.
func TestCurveKeyAsNkeys(t *testing.T) {
	pair := must(nkeys.CreateCurveKeys())
	mine, mineID := must(newCurveKey(must(pair.Seed()))), must(pair.PublicKey())
	other, stranger := must(nkeys.CreateCurveKeys()), must(nkeys.CreateCurveKeys())
	otherID := must(other.PublicKey())
	text := []byte("an authorization request")
	for range 3 {
		if got, err := mine.Open(must(other.Seal(text, mineID)), otherID); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q, %v", got, err)
		}
		sealed := must(mine.Seal(text, otherID))
		if got, err := other.Open(sealed, mineID); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q, %v", got, err)
		}
		if bytes.Equal(sealed, must(mine.Seal(text, otherID))) {
			t.Fatal("a nonce is used twice")
		}
	}
	good := must(other.Seal(text, mineID))
	for name, row := range map[string]struct {
		data   []byte
		sender string
	}{
		"by another": {must(stranger.Seal(text, mineID)), otherID}, "for another": {must(other.Seal(text, must(stranger.PublicKey()))), otherID},
		"cut": {good[:len(good)-1], otherID}, "short": {good[:20], otherID}, "empty": {nil, otherID}, "another version": {append([]byte("xkv2"), good[4:]...), otherID},
		"no key": {good, "X"}, "a user's key": {good, must(must(nkeys.CreateUser()).PublicKey())},
	} {
		_, got := mine.Open(row.data, row.sender)
		_, want := pair.Open(row.data, row.sender)
		if got == nil || want == nil || got.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if _, err := mine.Seal(text, "X"); err == nil {
		t.Error("sealed for nobody")
	}
	if kept := mine.(*curveKey).shared; len(kept) != 1 {
		t.Errorf("%d secrets are kept, want that of the one that sealed something", len(kept))
	}
}

func TestCurveSecretsAreBounded(t *testing.T) {
	mine := must(newCurveKey(must(must(nkeys.CreateCurveKeys()).Seed()))).(*curveKey)
	for i := range maxServers + 10 {
		mine.keep(string(rune(i)), new([32]byte))
	}
	if len(mine.shared) > maxServers {
		t.Errorf("%d secrets", len(mine.shared))
	}
}

func BenchmarkXKey(b *testing.B) {
	pair, server := must(nkeys.CreateCurveKeys()), must(nkeys.CreateCurveKeys())
	kept := must(newCurveKey(must(pair.Seed())))
	id := must(server.PublicKey())
	sealed := must(server.Seal(make([]byte, 1500), must(pair.PublicKey())))
	for name, key := range map[string]nkeys.KeyPair{"kept": kept, "nkeys": pair} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				must(key.Open(sealed, id))
				must(key.Seal(sealed, id))
			}
		})
	}
}
