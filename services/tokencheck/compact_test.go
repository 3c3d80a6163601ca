package tokencheck

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// row is one token and what must become of it; 0 is accepted.
type row struct {
	name, token string
	want        wire.Code
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// withTrailingBit sets a bit in the last character that stands for nothing: 256 bytes leave four, a header or payload of a
// length that is no multiple of three two or four.
func withTrailingBit(segment string) string {
	last := strings.IndexByte(base64Alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(base64Alphabet[last|1])
}

// formRows are what is wrong with the text of a token.
func formRows(t testing.TB, idp *oidctest.Issuer) []row {
	t.Helper()
	// The claim makes the payload's length no multiple of three, so that its last character has a bit to spare.
	pad := ""
	payloadOf := func(token string) string { return strings.Split(token, ".")[1] }
	good := idp.Mint(t, "RS256", idp.AccessToken("sensor-a").With(oidctest.Claims{"pad": pad}))
	for len(payloadOf(good))%4 == 0 {
		pad += "x"
		good = idp.Mint(t, "RS256", idp.AccessToken("sensor-a").With(oidctest.Claims{"pad": pad}))
	}
	parts := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signature[10] ^= 1
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	const jweHeader = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ" // {"alg":"RSA-OAEP","enc":"A256GCM"}
	compressed := oidctest.Encode([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`))
	return []row{
		{"as it is", good, 0},

		{"empty", "", wire.TokenMalformed},
		{"white space", "   ", wire.TokenMalformed},
		{"invalid UTF-8", "\xff\xfe.\xff.\xff", wire.TokenMalformed},
		{"NUL", good + "\x00", wire.TokenMalformed},
		{"control characters, as long as a token may be", strings.Repeat("\x01", wire.MaxTokenBytes), wire.TokenMalformed},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, wire.TokenMalformed},
		{"two signatures, one good", `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] +
			`"},{"protected":"` + parts[0] + `","signature":"AA"}]}`, wire.TokenMalformed},
		{"with the scheme of HTTP", "Bearer " + good, wire.TokenMalformed},

		{"an opaque token", "dGhpcyBpcyBvcGFxdWU", wire.TokenOpaque},
		{"an opaque token of two parts", "ory_at_5JzH2Zk.TfWm-1c", wire.TokenOpaque},
		{"an opaque token of three parts", "v1.public.5JzH2ZkTfWm", wire.TokenOpaque},
		{"three dots and nothing else", "...", wire.TokenOpaque},
		{"16,384 dots", strings.Repeat(".", wire.MaxTokenBytes), wire.TokenOpaque},
		{"a JWE", join(jweHeader, "a", "b", "c", "d"), wire.TokenEncrypted},
		{"a compressed JWE", join(compressed, "", "b", "c", "d"), wire.TokenEncrypted},
		{"a JWE of three parts", join(jweHeader, parts[1], parts[2]), wire.HeaderForbidden},
		{"a compressed JWS", join(compressed, parts[1], parts[2]), wire.HeaderForbidden},

		{"two parts", join(parts[0], parts[1]), wire.TokenMalformed},
		{"four parts", good + ".x", wire.TokenMalformed},
		{"six parts", good + ".x.y.z", wire.TokenMalformed},
		{"a JWT and 10,000 dots", parts[0] + strings.Repeat(".", 10_000), wire.TokenMalformed},
		{"a segment as long as a token may be", "eyJ." + strings.Repeat("A", wire.MaxTokenBytes-4), wire.TokenMalformed},
		{"one byte more than any token may have", strings.Repeat("A", wire.MaxTokenBytes+1), wire.TokenTooLarge},
		{"one byte more than any JWT may have", good + strings.Repeat("A", wire.MaxTokenBytes+1-len(good)), wire.TokenTooLarge},
		{"over the issuer's size", idp.Mint(t, "RS256", idp.AccessToken("a").With(oidctest.Claims{"pad": strings.Repeat("x", 7000)})), wire.TokenTooLarge},

		{"padding at the end", good + "=", wire.TokenMalformed},
		{"padding in the middle", join(parts[0]+"=", parts[1], parts[2]), wire.TokenMalformed},
		{"newline at the end", good + "\n", wire.TokenMalformed},
		{"newline inside", join(parts[0], parts[1][:10]+"\n"+parts[1][10:], parts[2]), wire.TokenMalformed},
		{"return inside", join(parts[0], parts[1], parts[2][:10]+"\r"+parts[2][10:]), wire.TokenMalformed},
		{"space in front", " " + good, wire.TokenMalformed},
		{"space behind", good + " ", wire.TokenMalformed},
		{"the other alphabet", join(parts[0], parts[1], strings.Repeat("+/", 10)+parts[2][20:]), wire.TokenMalformed},
		{"trailing bits in the signature", join(parts[0], parts[1], withTrailingBit(parts[2])), wire.TokenMalformed},
		{"trailing bits in the payload", join(parts[0], withTrailingBit(parts[1]), parts[2]), wire.TokenMalformed},

		{"signature missing", join(parts[0], parts[1], ""), wire.SignatureInvalid},
		{"signature cut", good[:len(good)-2], wire.SignatureInvalid},
		{"signature longer", join(parts[0], parts[1], parts[2][:len(parts[2])-2]+"AAAA"), wire.SignatureInvalid},
		{"signature changed", join(parts[0], parts[1], oidctest.Encode(signature)), wire.SignatureInvalid},
		{"signature of zeros", join(parts[0], parts[1], oidctest.Encode(make([]byte, len(signature)))), wire.SignatureInvalid},
		{"signature of another token", join(parts[0], parts[1], strings.Split(idp.Token(t, "sensor-b"), ".")[2]), wire.SignatureInvalid},
		{"payload of another", join(parts[0], payloadOf(idp.Token(t, "sensor-b")), parts[2]), wire.SignatureInvalid},
		{"payload missing", join(parts[0], "", parts[2]), wire.TokenMalformed},
		{"header missing", join("", parts[1], parts[2]), wire.TokenOpaque},
	}
}

func TestForm(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	for _, tt := range formRows(t, idp) {
		b.want(tt.name, tt.token, tt.want)
	}
	if n := idp.KeyFetches(); n != 1 {
		t.Errorf("%d fetches of the keys, want the one of the start", n)
	}
}

// TestFormTooLarge: the callout refuses what is longer than any token, so that such a request is not the callout's.
func TestFormTooLarge(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	b.want("64 KB of noise", strings.Repeat("\xff\x00", 32<<10), wire.BadRequest)
	b.want("a million dots", strings.Repeat(".", 1_000_000), wire.BadRequest)
	b.want("a good one after them", idp.Token(t, "sensor-a"), 0)
}

// TestBearerAlphabet: a text of one character that RFC 6750 section 2.1 does not name is no token, and every other is one that is opaque.
func TestBearerAlphabet(t *testing.T) {
	named := regexp.MustCompile(`^[A-Za-z0-9\-._~+/=]$`)
	for c := range 256 {
		text := string([]byte{byte(c)})
		if got := shapeOf(text); (got == shapeOpaque) != named.MatchString(text) || got != shapeOpaque && got != shapeNone {
			t.Errorf("%q has shape %d", text, got)
		}
	}
}
