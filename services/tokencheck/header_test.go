package tokencheck

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// headerAlgorithms are those that an issuer of headerRows has keys for; PS256 and ES384 are not accepted.
var headerAlgorithms = []string{"RS256", "PS256", "ES256", "ES384"}

// headerRows are what is wrong with a header. Their signatures are good for the key that is named, or for the sender's.
func headerRows(t testing.TB, idp *oidctest.Issuer) []row {
	t.Helper()
	k, ps256, es256, es384 := idp.Key(t, "RS256"), idp.Key(t, "PS256"), idp.Key(t, "ES256"), idp.Key(t, "ES384")
	sender := oidctest.New(t).Key(t, "RS256")
	claims := idp.AccessToken("sensor-a")
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	with := func(key *oidctest.Key, name string, value any) string {
		return key.Sign(t, map[string]any{name: value}, claims)
	}
	text := func(header string) string {
		return k.SignParts(t, []byte(strings.ReplaceAll(header, "KID", k.ID)), payload)
	}
	unsigned := func(alg string) string {
		return oidctest.Encode(fmt.Appendf(nil, `{"alg":%q,"kid":%q}`, alg, k.ID)) + "." + oidctest.Encode(payload) + "."
	}
	rows := []row{
		{"as it is", k.Sign(t, nil, claims), 0},
		{"no typ", with(k, "typ", nil), 0},
		{"typ at+jwt", with(k, "typ", "application/AT+JWT"), 0},
		{"x5t is a hint", with(k, "x5t", "x"), 0},

		{"alg none, unsigned", unsigned("none"), wire.AlgorithmNotAllowed},
		{"alg None, unsigned", unsigned("None"), wire.AlgorithmNotAllowed},
		{"alg nOnE, unsigned", unsigned("nOnE"), wire.AlgorithmNotAllowed},
		{"alg empty, unsigned", unsigned(""), wire.AlgorithmNotAllowed},
		{"alg RS256, unsigned", unsigned("RS256"), wire.SignatureInvalid},
		{"alg missing", with(k, "alg", nil), wire.AlgorithmNotAllowed},
		{"alg null", text(`{"alg":null,"kid":"KID"}`), wire.AlgorithmNotAllowed},
		{"alg a number", with(k, "alg", 1), wire.TokenMalformed},
		{"alg a list", with(k, "alg", []string{"RS256"}), wire.TokenMalformed},
		{"alg in small letters", with(k, "alg", "rs256"), wire.AlgorithmNotAllowed},
		{"alg with a space", with(k, "alg", "RS256 "), wire.AlgorithmNotAllowed},
		{"alg twice", text(`{"alg":"RS256","alg":"none","kid":"KID"}`), wire.TokenMalformed},
		{"ALG beside alg", text(`{"alg":"RS256","ALG":"none","kid":"KID"}`), wire.TokenMalformed},
		{"ALG alone", text(`{"ALG":"RS256","kid":"KID"}`), wire.TokenMalformed},
		{"alg outside the list, the key verifies", ps256.Sign(t, nil, claims), wire.AlgorithmNotAllowed},
		{"alg outside the list, an EC key", es384.Sign(t, nil, claims), wire.AlgorithmNotAllowed},
		{"ES256 with a P-384 key", with(es384, "alg", "ES256"), wire.KeyMismatch},
		{"ES256 with an RSA key", with(k, "alg", "ES256"), wire.KeyMismatch},
		{"RS256 with an EC key", with(es256, "alg", "RS256"), wire.KeyMismatch},
		{"RS256 with a key for PS256", with(ps256, "alg", "RS256"), wire.KeyMismatch},

		{"jwk, the sender's", with(sender, "jwk", sender.JWK(t)), wire.HeaderForbidden},
		{"jwk, our own", with(k, "jwk", k.JWK(t)), wire.HeaderForbidden},
		{"jwk null", text(`{"alg":"RS256","kid":"KID","jwk":null}`), wire.HeaderForbidden},
		{"jku", with(sender, "jku", "https://evil.example.com/keys"), wire.HeaderForbidden},
		{"x5u", with(sender, "x5u", "https://evil.example.com/chain"), wire.HeaderForbidden},
		{"x5c", with(sender, "x5c", []string{"MIIB"}), wire.HeaderForbidden},
		{"crit", with(k, "crit", []string{"exp"}), wire.HeaderForbidden},
		{"crit of something unknown", text(`{"alg":"RS256","kid":"KID","crit":["x"],"x":1}`), wire.HeaderForbidden},
		{"crit empty", with(k, "crit", []string{}), wire.HeaderForbidden},
		{"crit null", text(`{"alg":"RS256","kid":"KID","crit":null}`), wire.HeaderForbidden},
		{"CRIT", with(k, "CRIT", []string{"exp"}), wire.TokenMalformed},
		{"b64 false", with(k, "b64", false), wire.HeaderForbidden},
		{"b64 false and critical", text(`{"alg":"RS256","kid":"KID","b64":false,"crit":["b64"]}`), wire.HeaderForbidden},
		{"enc", with(k, "enc", "A256GCM"), wire.HeaderForbidden},
		{"zip", with(k, "zip", "DEF"), wire.HeaderForbidden},

		{"kid missing with several keys", with(k, "kid", nil), wire.KeyIDMissing},
		{"kid null", text(`{"alg":"RS256","kid":null}`), wire.KeyIDMissing},
		{"kid empty", with(k, "kid", ""), wire.KeyIDMissing},
		{"kid a number", with(k, "kid", 1), wire.KeyIDMissing},
		{"kid a list", with(k, "kid", []string{k.ID}), wire.KeyIDMissing},
		{"kid an object", with(k, "kid", map[string]any{"kid": k.ID}), wire.KeyIDMissing},
		{"kid of 1 KB", with(k, "kid", strings.Repeat("k", 1<<10)), wire.KeyIDMissing},
		{"kid of 5 KB, over the header's bound", with(k, "kid", strings.Repeat("k", 5<<10)), wire.TokenMalformed},
		{"kid of 10 KB, over the issuer's bound or the header's", with(k, "kid", strings.Repeat("k", 10<<10)), wire.TokenMalformed},
		{"kid with NUL", with(k, "kid", k.ID+"\x00"), wire.KeyIDMissing},
		{"kid with a newline", with(k, "kid", k.ID+"\n"), wire.KeyIDMissing},
		{"kid with a direction override", with(k, "kid", k.ID+"\u202e"), wire.KeyIDMissing},
		{"kid twice", text(`{"alg":"RS256","kid":"KID","kid":"x"}`), wire.TokenMalformed},
		{"kid with a Kelvin sign beside it", text(`{"alg":"RS256","kid":"KID","Kid":"x"}`), wire.TokenMalformed},
		{"kid of another of the issuer's keys", with(k, "kid", idp.Rotate(t, "RS256").ID), wire.SignatureInvalid},

		{"typ logout+jwt", with(k, "typ", "logout+jwt"), wire.TokenWrongKind},
		{"typ secevent+jwt", with(k, "typ", "secevent+jwt"), wire.TokenWrongKind},
		{"typ dpop+jwt", with(k, "typ", "dpop+jwt"), wire.TokenWrongKind},
		{"typ of an introspection reply", with(k, "typ", "token-introspection+jwt"), wire.TokenWrongKind},
		{"typ empty", with(k, "typ", ""), wire.TokenMalformed},
		{"typ null", text(`{"alg":"RS256","kid":"KID","typ":null}`), wire.TokenMalformed},
		{"typ a number", with(k, "typ", 1), wire.TokenMalformed},

		{"not JSON", text(`{"alg":"RS256","kid":"KID"`), wire.TokenMalformed},
		{"trailing data", text(`{"alg":"RS256","kid":"KID"}{}`), wire.TokenMalformed},
		{"nested deep", text(`{"alg":"RS256","kid":"KID","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), wire.TokenMalformed},
		{"invalid UTF-8", text("{\"alg\":\"RS256\",\"kid\":\"KID\",\"x\":\"\xff\"}"), wire.TokenMalformed},
	}
	return append(rows, confusionRows(t, idp, k)...)
}

// confusionRows are signed with the public key as an HMAC secret, in every form that it is published in.
func confusionRows(t testing.TB, idp *oidctest.Issuer, k *oidctest.Key) []row {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	own, err := json.Marshal(k.JWK(t))
	if err != nil {
		t.Fatal(err)
	}
	modulus := k.Private.Public().(*rsa.PublicKey).N.Bytes()
	payload := strings.Split(k.Sign(t, nil, idp.AccessToken("a")), ".")[1]
	var rows []row
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": own,
		"modulus": modulus, "modulus as text": []byte(base64.RawURLEncoding.EncodeToString(modulus)), "nothing": {},
	} {
		for alg, want := range map[string]wire.Code{"HS256": wire.AlgorithmNotAllowed, "RS256": wire.SignatureInvalid} {
			input := oidctest.Encode([]byte(`{"alg":"`+alg+`","kid":"`+k.ID+`"}`)) + "." + payload
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			rows = append(rows, row{"HMAC with the " + name + " as " + alg, input + "." + oidctest.Encode(mac.Sum(nil)), want})
		}
	}
	return rows
}

func TestHeader(t *testing.T) {
	idp := oidctest.New(t, headerAlgorithms...)
	rows := headerRows(t, idp)
	b := newBench(t, issuerConfig(idp.URL))
	for _, tt := range rows {
		b.want(tt.name, tt.token, tt.want)
	}
	if n := idp.KeyFetches(); n != 1 {
		t.Errorf("%d fetches of the keys, want the one of the start: no bad token may cause one", n)
	}
	// A name like any other, of a key that may have been published since.
	b.want("kid a path", idp.Key(t, "RS256").Sign(t, map[string]any{"kid": "../../etc/passwd"}, idp.AccessToken("a")), wire.KeyUnknown)
}

// TestHeaderType is the table of the issuer's typ.
func TestHeaderType(t *testing.T) {
	for _, tt := range []struct {
		mode string
		typ  any
		want wire.Code
	}{
		{typeAccept, "at+jwt", 0},
		{typeAccept, "JWT", 0},
		{typeAccept, nil, 0},
		{typeAccept, "logout+jwt", wire.TokenWrongKind},
		{typeRequire, "at+jwt", 0},
		{typeRequire, "application/at+jwt", 0},
		{typeRequire, "JWT", wire.TokenWrongKind},
		{typeRequire, nil, wire.TokenWrongKind},
		{typeIgnore, "JWT", 0},
		{typeIgnore, "bearer", 0},
		{typeIgnore, nil, 0},
	} {
		idp := oidctest.New(t)
		cfg := issuerConfig(idp.URL)
		cfg.Type = tt.mode
		v := newTestVerifier(t, time.Now, cfg)
		token := idp.Key(t, "RS256").Sign(t, map[string]any{"typ": tt.typ}, idp.AccessToken("a"))
		if _, fail := v.verify(withBudget(t), token, ""); code(fail) != tt.want {
			t.Errorf("%s %v: got %v, want %v", tt.mode, tt.typ, fail, tt.want)
		}
	}
}

func TestECDSAForms(t *testing.T) {
	idp := oidctest.New(t, "ES256")
	b := newBench(t, issuerConfig(idp.URL))
	k := idp.Key(t, "ES256")
	good := k.Sign(t, nil, idp.AccessToken("a"))
	cut := strings.LastIndexByte(good, '.')
	input := good[:cut]
	raw, err := base64.RawURLEncoding.DecodeString(good[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(input))
	asn1, err := k.Private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	order, err := base64.RawURLEncoding.DecodeString("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE") // of P-256
	if err != nil {
		t.Fatal(err)
	}
	b.want("as it is", good, 0)
	for name, signature := range map[string][]byte{
		"r = s = 0": make([]byte, 64), "r = 0": append(make([]byte, 32), raw[32:]...), "s = 0": append(raw[:32:32], make([]byte, 32)...),
		"r = s = the order": append(order[:32:32], order...), "ASN.1": asn1, "short": make([]byte, 63), "long": append(raw[:64:64], 0), "none": nil,
		"r and s swapped": append(raw[32:64:64], raw[:32]...),
	} {
		b.want(name, input+"."+oidctest.Encode(signature), wire.SignatureInvalid)
	}
}
