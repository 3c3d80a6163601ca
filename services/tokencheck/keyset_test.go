package tokencheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"harmony.internal/authcallout/shared/oidctest"
)

// jwkWith returns a JWK of a key with members changed; a nil value takes one out.
func jwkWith(t testing.TB, raw any, members map[string]any) string {
	t.Helper()
	k, err := jwk.FromRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	all := oidctest.Claims{}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(all.With(members))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // to make keys that are too short
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// bogusRSA is a public key of a size and an exponent that nobody should use; nothing is signed with it.
func bogusRSA(bits, e int) crypto.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}
}

func TestParseKeySet(t *testing.T) {
	idp := oidctest.New(t, "RS256", "ES256")
	good, another := idp.Key(t, "RS256").Private, idp.Key(t, "ES256").Private
	pub := good.Public()
	named := func(kid string, members map[string]any) string {
		all := map[string]any{"kid": kid}
		maps.Copy(all, members)
		return jwkWith(t, pub, all)
	}
	a := named("a", nil)
	off := jwkWith(t, another.Public(), map[string]any{"kid": "off", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
	for _, tt := range []struct {
		name    string
		keys    []string
		want    []string // kids
		skipped int
	}{
		{"one", []string{a}, []string{"a"}, 0},
		{"an encryption key", []string{a, named("b", map[string]any{"use": "enc"})}, []string{"a"}, 1},
		{"an encryption alg", []string{a, named("b", map[string]any{"alg": "RSA-OAEP"})}, []string{"a"}, 1},
		{"key_ops without verify", []string{a, named("b", map[string]any{"key_ops": []string{"encrypt"}})}, []string{"a"}, 1},
		{"key_ops with verify", []string{named("b", map[string]any{"key_ops": []string{"verify"}})}, []string{"b"}, 0},
		{"a symmetric key", []string{a, `{"kty":"oct","kid":"b","k":"c2VjcmV0"}`}, []string{"a"}, 1},
		{"a private RSA key", []string{a, jwkWith(t, good, map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"a private EC key", []string{a, jwkWith(t, another, map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"an unknown kty", []string{a, `{"kty":"AKP","kid":"b","alg":"ML-DSA-44","pub":"AAAA"}`}, []string{"a"}, 1},
		{"an unknown curve", []string{a, `{"kty":"EC","crv":"P-192","kid":"b","x":"AA","y":"AA"}`}, []string{"a"}, 1},
		{"X25519", []string{a, `{"kty":"OKP","crv":"X25519","kid":"b","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`}, []string{"a"}, 1},
		{"a point that is not on its curve", []string{a, off}, []string{"a"}, 1},
		{"not base64url", []string{a, `{"kty":"RSA","kid":"b","n":"%%%","e":"AQAB"}`}, []string{"a"}, 1},
		{"kty missing", []string{a, `{"kid":"b"}`}, []string{"a"}, 1},
		{"no object", []string{a, `"b"`, `null`, `1`}, []string{"a"}, 3},
		{"RSA of 512 bits", []string{a, jwkWith(t, bogusRSA(512, 65537), map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"RSA of 1024 bits", []string{a, jwkWith(t, rsaKey(t, 1024).Public(), map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"RSA of 16384 bits", []string{a, jwkWith(t, bogusRSA(16384, 65537), map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"e = 1", []string{a, jwkWith(t, bogusRSA(2048, 1), map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"e even", []string{a, jwkWith(t, bogusRSA(2048, 4), map[string]any{"kid": "b"})}, []string{"a"}, 1},
		{"e of 2^40", []string{a, named("b", map[string]any{"e": "AQAAAAAB"})}, []string{"a"}, 1},
		{"kid of 10 KB", []string{a, named(strings.Repeat("k", 10<<10), nil)}, []string{"a"}, 1},
		{"kid a number", []string{a, strings.Replace(a, `"kid":"a"`, `"kid":1`, 1)}, []string{"a"}, 1},
		{"one kid twice, the same key", []string{a, a}, []string{"a"}, 1},
		{"one kid for two keys", []string{a, jwkWith(t, another.Public(), map[string]any{"kid": "b"}), named("b", nil)}, []string{"a"}, 2},
		{"no kid, among others", []string{a, jwkWith(t, another.Public(), nil)}, []string{"a"}, 1},
		{"kid empty, among others", []string{a, named("", nil)}, []string{"a"}, 1},
		{"no kid, alone", []string{jwkWith(t, pub, nil)}, nil, 0},
		{"no kid, beside one for encryption", []string{jwkWith(t, pub, nil), named("b", map[string]any{"use": "enc"})}, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := parseKeySet([]byte(`{"keys":[`+strings.Join(tt.keys, ",")+`]}`), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := set.ids(); !slices.Equal(got, tt.want) || set.skipped != tt.skipped {
				t.Errorf("kids %q and %d skipped, want %q and %d", got, set.skipped, tt.want, tt.skipped)
			}
			if alone := len(tt.keys)-tt.skipped == 1 && !strings.Contains(tt.name, "no kid, among") && !strings.Contains(tt.name, "kid empty"); alone != (set.only != nil) {
				t.Errorf("the only key: %v", set.only)
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	idp := oidctest.New(t)
	good := jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"})
	var many []string
	for i := range maxKeys + 1 {
		many = append(many, strings.Replace(good, `"kid":"a"`, fmt.Sprintf(`"kid":"a%d"`, i), 1))
	}
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"no keys", `{"keys":[]}`, errNoUsableKey},
		{"none usable", `{"keys":[{"kty":"oct","kid":"b","k":"c2VjcmV0"}]}`, errNoUsableKey},
		{"65 keys", `{"keys":[` + strings.Join(many, ",") + `]}`, errTooManyKeys},
		{"nothing", ``, errNotKeySet},
		{"a web page", `<html>`, errNotKeySet},
		{"cut off", `{"keys":[` + good, errNotKeySet},
		{"keys null", `{"keys":null}`, errNotKeySet},
		{"keys an object", `{"keys":{}}`, errNotKeySet},
		{"a list", `[` + good + `]`, errNotKeySet},
		{"one key, no set", good, errNotKeySet},
		{"keys twice", `{"keys":[],"keys":[` + good + `]}`, errNotKeySet},
		{"KEYS", `{"KEYS":[` + good + `]}`, errNotKeySet},
		{"nested 10,000 deep", strings.Repeat(`{"keys":[`, 10000), errNotKeySet},
		{"more than 1 MiB", `{"keys":[` + good + `],"pad":"` + strings.Repeat("x", maxKeySetBytes) + `"}`, errNotKeySet},
		{"invalid UTF-8", "{\"keys\":[\"\xff\"]}", errNotKeySet},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseKeySet([]byte(tt.text), time.Now()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if set, err := parseKeySet([]byte(`{"keys":[`+strings.Join(many[:maxKeys], ",")+`]}`), time.Now()); err != nil || len(set.keys) != maxKeys {
		t.Errorf("64 keys: %v", err)
	}
}

// TestKeySetHash: it is the same whatever the order and what else is said of the keys, and another for other keys.
func TestKeySetHash(t *testing.T) {
	idp := oidctest.New(t, "RS256", "ES256")
	a := jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"})
	b := jwkWith(t, idp.Key(t, "ES256").Private.Public(), map[string]any{"kid": "b"})
	hash := func(keys ...string) string {
		set, err := parseKeySet([]byte(`{"keys":[`+strings.Join(keys, ",")+`]}`), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return set.hash
	}
	want := hash(a, b)
	if hash(b, a) != want || hash(a, b, `{"kty":"oct"}`) != want || hash(strings.Replace(a, `"kid"`, `"x5t":"AA","kid"`, 1), b) != want {
		t.Error("one set has two hashes")
	}
	for _, other := range []string{hash(a), hash(b), hash(a, strings.Replace(b, `"kid":"b"`, `"kid":"c"`, 1)), hash(a, strings.Replace(b, `"kid"`, `"alg":"ES256","kid"`, 1)), hash(jwkWith(t, idp.Key(t, "ES256").Private.Public(), nil))} {
		if other == want {
			t.Error("two sets have one hash")
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good := jwkWith(f, priv.Public(), map[string]any{"kid": "a", "alg": "ES256"})
	for _, seed := range []string{
		`{"keys":[` + good + `]}`, `{"keys":[` + good + `,` + good + `]}`, `{"keys":[{"kty":"oct","kid":"b","k":"c2VjcmV0"}]}`, `{"keys":[]}`,
		`{"keys":[` + jwkWith(f, priv, map[string]any{"kid": "a"}) + `]}`, `{"keys":[{"kty":"RSA","kid":"b","n":"AQAB","e":"AQ"}]}`, `{"keys":[` + good + `,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"KEYS":[]}`, `[]`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := parseKeySet(data, time.Now())
		if err != nil {
			return
		}
		if len(set.keys) == 0 && set.only == nil || len(set.keys) > maxKeys || set.hash == "" {
			t.Fatalf("%d keys, hash %q", len(set.keys), set.hash)
		}
		for kid, k := range set.keys {
			if kid == "" || k.id != kid || !strong(k.public) {
				t.Fatalf("kid %q: %+v", kid, k)
			}
		}
	})
}
