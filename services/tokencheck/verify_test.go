package tokencheck

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

func TestVerifyAccepts(t *testing.T) {
	idp := oidctest.New(t, "RS256", "ES256", "EdDSA")
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		claims := idp.AccessToken("sensor-a")
		got, fail := v.verify(withBudget(t), idp.Mint(t, alg, claims), "")
		if fail != nil {
			t.Fatalf("%s: %v", alg, fail)
		}
		if got.Issuer != idp.URL || got.Subject != oidctest.SubjectOf("sensor-a") || got.Algorithm != alg ||
			got.ExpiresAt != claims["exp"] || fmt.Sprint(got.Roles) != "[device]" || !strings.Contains(string(got.Claims), `"device_id":"sensor-a"`) || got.KeySet == "" {
			t.Errorf("%s: verified %+v", alg, got)
		}
	}
	if n := idp.KeyFetches(); n != 1 {
		t.Errorf("%d fetches for three tokens", n)
	}
}

// thumbprint is that of the client's certificate, other that of another.
var thumbprint, other = oidctest.Encode(make([]byte, 32)), oidctest.Encode(bytes.Repeat([]byte{1}, 32))

func TestVerifyClaims(t *testing.T) {
	idp := oidctest.New(t)
	cfg := issuerConfig(idp.URL)
	cfg.RequiredClaims = map[string]any{"tenant": []any{"a", "b"}}
	v := newTestVerifier(t, time.Now, cfg)
	base := idp.AccessToken("sensor-a").With(oidctest.Claims{"tenant": "a"})
	now := time.Now().Unix()
	many := make([]string, 10000)
	for i := range many {
		many[i] = "x"
	}
	roles := map[string]any{}
	for i := range 5000 {
		roles[fmt.Sprint("role", i)] = 1
	}
	for _, tt := range []struct {
		name   string
		change oidctest.Claims
		want   wire.Code
	}{
		{"as it is", nil, 0},
		{"aud a string", oidctest.Claims{"aud": oidctest.Project}, 0},
		{"aud with others", oidctest.Claims{"aud": []string{"x", oidctest.Project}}, 0},
		{"just expired, inside the leeway", oidctest.Claims{"exp": now - 5}, 0},
		{"nbf inside the leeway", oidctest.Claims{"nbf": now + 20}, 0},
		{"fractional exp", oidctest.Claims{"exp": float64(now) + 60.5}, 0},
		{"required claim in a list", oidctest.Claims{"tenant": []string{"z", "b"}}, 0},
		{"roles a list", oidctest.Claims{oidctest.RolesClaim: []string{"device"}}, 0},

		{"iss of another", oidctest.Claims{"iss": "https://evil.example.com"}, wire.IssuerUnknown},
		{"iss with a slash", oidctest.Claims{"iss": idp.URL + "/"}, wire.IssuerUnknown},
		{"iss in capitals", oidctest.Claims{"iss": strings.ToUpper(idp.URL)}, wire.IssuerUnknown},
		{"iss with a prefix", oidctest.Claims{"iss": "x" + idp.URL}, wire.IssuerUnknown},
		{"iss with a suffix", oidctest.Claims{"iss": idp.URL + ".evil.example.com"}, wire.IssuerUnknown},
		{"iss with another port", oidctest.Claims{"iss": idp.URL + "0"}, wire.IssuerUnknown},
		{"iss empty", oidctest.Claims{"iss": ""}, wire.IssuerUnknown},
		{"iss missing", oidctest.Claims{"iss": nil}, wire.IssuerUnknown},
		{"iss a list", oidctest.Claims{"iss": []string{idp.URL}}, wire.ClaimInvalid},

		{"aud missing", oidctest.Claims{"aud": nil}, wire.AudienceMismatch},
		{"aud empty", oidctest.Claims{"aud": ""}, wire.AudienceMismatch},
		{"aud empty list", oidctest.Claims{"aud": []string{}}, wire.AudienceMismatch},
		{"aud list of empty", oidctest.Claims{"aud": []string{""}}, wire.AudienceMismatch},
		{"aud another project", oidctest.Claims{"aud": []string{"123456789"}}, wire.AudienceMismatch},
		{"aud part of ours", oidctest.Claims{"aud": oidctest.Project[:17]}, wire.AudienceMismatch},
		{"aud a number", oidctest.Claims{"aud": 400938672314125350}, wire.ClaimInvalid},
		{"aud an object", oidctest.Claims{"aud": map[string]any{oidctest.Project: 1}}, wire.ClaimInvalid},
		{"aud a list with null", oidctest.Claims{"aud": []any{oidctest.Project, nil}}, wire.ClaimInvalid},
		{"aud of 10,000", oidctest.Claims{"aud": many}, wire.TokenTooLarge},

		{"exp missing", oidctest.Claims{"exp": nil}, wire.ClaimInvalid},
		{"exp a string", oidctest.Claims{"exp": fmt.Sprint(now + 60)}, wire.ClaimInvalid},
		{"exp negative", oidctest.Claims{"exp": -1}, wire.ClaimInvalid},
		{"exp in milliseconds", oidctest.Claims{"exp": now * 1000}, wire.ClaimInvalid},
		{"exp 2^63", oidctest.Claims{"exp": uint64(1) << 63}, wire.ClaimInvalid},
		{"exp a list", oidctest.Claims{"exp": []int64{now + 60}}, wire.ClaimInvalid},
		{"expired", oidctest.Claims{"exp": now - 31}, wire.TokenExpired},
		{"exp zero", oidctest.Claims{"exp": 0}, wire.TokenExpired},
		{"nbf in the future", oidctest.Claims{"nbf": now + 300}, wire.TokenNotYetValid},
		{"nbf a little ahead of this clock", oidctest.Claims{"nbf": now + 90}, wire.ClockDisagrees},
		{"iat a little ahead of this clock", oidctest.Claims{"iat": now + 90}, wire.ClockDisagrees},
		{"nbf a string", oidctest.Claims{"nbf": "now"}, wire.ClaimInvalid},
		{"iat in the future", oidctest.Claims{"iat": now + 300}, wire.TokenIssuedInFuture},
		{"ten years", oidctest.Claims{"exp": now + 10*365*86400}, wire.TokenLifetimeTooLong},
		{"ten years, iat missing", oidctest.Claims{"iat": nil, "exp": now + 10*365*86400}, wire.TokenLifetimeTooLong},
		{"iat long ago", oidctest.Claims{"iat": now - 86400*30}, wire.TokenLifetimeTooLong},

		{"sub missing", oidctest.Claims{"sub": nil}, wire.SubjectInvalid},
		{"sub empty", oidctest.Claims{"sub": ""}, wire.SubjectInvalid},
		{"sub too long", oidctest.Claims{"sub": strings.Repeat("x", 300)}, wire.SubjectInvalid},
		{"sub a number", oidctest.Claims{"sub": 1}, wire.ClaimInvalid},
		{"SUB beside sub", oidctest.Claims{"SUB": "x"}, wire.TokenMalformed},
		{"long s in sub", oidctest.Claims{"ſub": "x"}, wire.TokenMalformed},
		{"Exp beside exp", oidctest.Claims{"Exp": now + 60}, wire.TokenMalformed},
		{"SUB alone", oidctest.Claims{"sub": nil, "SUB": "x"}, wire.TokenMalformed},

		{"logout token", oidctest.Claims{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}, wire.TokenWrongKind},
		{"Keycloak's ID token", oidctest.Claims{"typ": "ID"}, wire.TokenWrongKind},
		{"Keycloak's refresh token", oidctest.Claims{"typ": "Refresh"}, wire.TokenWrongKind},
		{"required claim missing", oidctest.Claims{"tenant": nil}, wire.RequiredClaimMismatch},
		{"required claim differs", oidctest.Claims{"tenant": "c"}, wire.RequiredClaimMismatch},
		{"required claim an object", oidctest.Claims{"tenant": map[string]any{"a": 1}}, wire.RequiredClaimMismatch},
		{"roles a number", oidctest.Claims{oidctest.RolesClaim: 1}, wire.ClaimInvalid},
		{"5,000 roles", oidctest.Claims{oidctest.RolesClaim: roles}, wire.TokenTooLarge},
		{"bound to a certificate", oidctest.Claims{"cnf": map[string]any{"x5t#S256": other}}, wire.CertificateMismatch},
		{"bound to a DPoP key", oidctest.Claims{"cnf": map[string]any{"jkt": other}}, wire.BindingUnsupported},
		{"bound to this certificate and to a DPoP key", oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint, "jkt": other}}, wire.BindingUnsupported},
		{"bound, by a member in another case", oidctest.Claims{"cnf": map[string]any{"x5t#s256": thumbprint}}, wire.BindingUnsupported},
		{"bound to nothing", oidctest.Claims{"cnf": map[string]any{}}, wire.BindingUnsupported},
		{"bound to an empty thumbprint", oidctest.Claims{"cnf": map[string]any{"x5t#S256": ""}}, wire.BindingUnsupported},
		{"bound to a padded thumbprint", oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint + "="}}, wire.BindingUnsupported},
		{"bound to a SHA-1 thumbprint", oidctest.Claims{"cnf": map[string]any{"x5t#S256": oidctest.Encode(make([]byte, 20))}}, wire.BindingUnsupported},
		{"cnf a string", oidctest.Claims{"cnf": thumbprint}, wire.BindingUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, fail := v.verify(withBudget(t), idp.Mint(t, "RS256", base.With(tt.change)), thumbprint)
			if code(fail) != tt.want {
				t.Errorf("got %v, want %v", fail, tt.want)
			}
		})
	}
	bound := base.With(oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint}})
	if _, fail := v.verify(withBudget(t), idp.Mint(t, "RS256", bound), thumbprint); fail != nil {
		t.Errorf("bound token with its certificate: %v", fail)
	}
	if n := idp.KeyFetches(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestVerifyRawPayload(t *testing.T) {
	idp := oidctest.New(t)
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	k := idp.Key(t, "RS256")
	text := func(exp string) []byte {
		return fmt.Appendf(nil, `{"iss":%q,"sub":"1","aud":%q,"exp":%s}`, idp.URL, oidctest.Project, exp)
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		want    wire.Code
	}{
		{"exp 1e400", text("1e400"), wire.ClaimInvalid},
		{"exp null", text("null"), wire.ClaimInvalid},
		{"sub twice", fmt.Appendf(nil, `{"iss":%q,"sub":"1","sub":"2"}`, idp.URL), wire.TokenMalformed},
		{"nested twice", fmt.Appendf(nil, `{"iss":%q,"a":{"b":1,"b":2}}`, idp.URL), wire.TokenMalformed},
		{"deep", fmt.Appendf(nil, `{"iss":%q,"a":%s}`, idp.URL, strings.Repeat("[", 200)+strings.Repeat("]", 200)), wire.TokenMalformed},
		{"not JSON", []byte("x"), wire.TokenMalformed},
		{"a list", []byte("[]"), wire.TokenMalformed},
		{"nothing", nil, wire.TokenMalformed},
		{"trailing data", append(text("1"), "{}"...), wire.TokenMalformed},
	} {
		if _, fail := v.verify(withBudget(t), k.SignRaw(t, nil, tt.payload), ""); code(fail) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, fail, tt.want)
		}
	}
}

func TestVerifyHeader(t *testing.T) {
	idp := oidctest.New(t, "RS256", "PS256", "ES256", "ES384")
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	k := idp.Key(t, "RS256")
	es384 := idp.Key(t, "ES384")
	claims := idp.AccessToken("sensor-a")
	own := k.JWK(t)
	for _, tt := range []struct {
		name   string
		key    *oidctest.Key
		header map[string]any
		want   wire.Code
	}{
		{"as it is", k, nil, 0},
		{"no typ", k, map[string]any{"typ": nil}, 0},
		{"at+jwt", k, map[string]any{"typ": "application/AT+JWT"}, 0},
		{"x5t is a hint", k, map[string]any{"x5t": "x"}, 0},
		{"alg none", k, map[string]any{"alg": "none"}, wire.AlgorithmNotAllowed},
		{"alg nOnE", k, map[string]any{"alg": "nOnE"}, wire.AlgorithmNotAllowed},
		{"alg missing", k, map[string]any{"alg": nil}, wire.AlgorithmNotAllowed},
		{"alg a number", k, map[string]any{"alg": 1}, wire.TokenMalformed},
		{"alg HS256", k, map[string]any{"alg": "HS256"}, wire.AlgorithmNotAllowed},
		{"alg outside the list", idp.Key(t, "PS256"), nil, wire.AlgorithmNotAllowed},
		{"ES256 with a P-384 key", es384, map[string]any{"alg": "ES256"}, wire.KeyMismatch},
		{"ES256 with an RSA key", k, map[string]any{"alg": "ES256"}, wire.KeyMismatch},
		{"RS256 with an EC key", idp.Key(t, "ES256"), map[string]any{"alg": "RS256"}, wire.KeyMismatch},
		{"RS256 with a key for PS256", idp.Key(t, "PS256"), map[string]any{"alg": "RS256"}, wire.KeyMismatch},
		{"jwk", k, map[string]any{"jwk": own}, wire.HeaderForbidden},
		{"jku", k, map[string]any{"jku": idp.URL}, wire.HeaderForbidden},
		{"x5u", k, map[string]any{"x5u": idp.URL}, wire.HeaderForbidden},
		{"x5c", k, map[string]any{"x5c": []string{"x"}}, wire.HeaderForbidden},
		{"crit", k, map[string]any{"crit": []string{"exp"}}, wire.HeaderForbidden},
		{"crit empty", k, map[string]any{"crit": []string{}}, wire.HeaderForbidden},
		{"b64", k, map[string]any{"b64": false}, wire.HeaderForbidden},
		{"CRIT", k, map[string]any{"CRIT": []string{"exp"}}, wire.TokenMalformed},
		{"kid missing", k, map[string]any{"kid": nil}, wire.KeyIDMissing},
		{"kid empty", k, map[string]any{"kid": ""}, wire.KeyIDMissing},
		{"kid a number", k, map[string]any{"kid": 1}, wire.KeyIDMissing},
		{"kid a list", k, map[string]any{"kid": []string{k.ID}}, wire.KeyIDMissing},
		{"kid of 10 KB", k, map[string]any{"kid": strings.Repeat("k", 10<<10)}, wire.TokenTooLarge},
		{"kid of 1 KB", k, map[string]any{"kid": strings.Repeat("k", 1<<10)}, wire.KeyIDMissing},
		{"kid with NUL", k, map[string]any{"kid": k.ID + "\x00"}, wire.KeyIDMissing},
		{"typ logout+jwt", k, map[string]any{"typ": "logout+jwt"}, wire.TokenWrongKind},
		{"typ secevent+jwt", k, map[string]any{"typ": "secevent+jwt"}, wire.TokenWrongKind},
		{"typ a number", k, map[string]any{"typ": 1}, wire.TokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, fail := v.verify(withBudget(t), tt.key.Sign(t, tt.header, claims), "")
			if tt.name == "kid of 10 KB" && code(fail) == wire.TokenMalformed {
				return // over the header's own bound
			}
			if code(fail) != tt.want {
				t.Errorf("got %v, want %v", fail, tt.want)
			}
		})
	}
}

func TestVerifyForm(t *testing.T) {
	idp := oidctest.New(t)
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	good := idp.Token(t, "sensor-a")
	parts := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signature[10] ^= 1
	// The last character of 256 bytes carries four bits that mean nothing; set one.
	trailing := good[:len(good)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[len(good)-1])|1])
	for _, tt := range []struct {
		name, token string
		want        wire.Code
	}{
		{"as it is", good, 0},
		{"empty", "", wire.TokenMalformed},
		{"white space", "   ", wire.TokenMalformed},
		{"opaque", "dGhpcyBpcyBvcGFxdWU", wire.TokenOpaque},
		{"two parts", parts[0] + "." + parts[1], wire.TokenMalformed},
		{"four parts", good + ".x", wire.TokenMalformed},
		{"a JWE", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", wire.TokenEncrypted},
		{"a million dots", strings.Repeat(".", 1_000_000), wire.TokenTooLarge},
		{"noise", strings.Repeat("\xff\x00", 32<<10), wire.TokenTooLarge},
		{"invalid UTF-8", "\xff\xfe.\xff.\xff", wire.TokenMalformed},
		{"JSON serialization", `{"payload":"` + parts[1] + `","signatures":[]}`, wire.TokenMalformed},
		{"signature missing", parts[0] + "." + parts[1] + ".", wire.SignatureInvalid},
		{"signature cut", good[:len(good)-2], wire.SignatureInvalid},
		{"signature changed", parts[0] + "." + parts[1] + "." + oidctest.Encode(signature), wire.SignatureInvalid},
		{"padding", good + "=", wire.TokenMalformed},
		{"newline at the end", good + "\n", wire.TokenMalformed},
		{"newline inside", parts[0] + "." + parts[1][:10] + "\n" + parts[1][10:] + "." + parts[2], wire.TokenMalformed},
		{"space in front", " " + good, wire.TokenMalformed},
		{"standard alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+/", wire.TokenMalformed},
		{"trailing bits", trailing, wire.TokenMalformed},
		{"payload of another", parts[0] + "." + oidctest.Encode([]byte(`{"iss":"`+idp.URL+`"}`)) + "." + parts[2], wire.ClaimInvalid},
		{"over the issuer's size", idp.Mint(t, "RS256", idp.AccessToken("a").With(oidctest.Claims{"pad": strings.Repeat("x", 7000)})), wire.TokenTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, fail := v.verify(withBudget(t), tt.token, ""); code(fail) != tt.want {
				t.Errorf("got %v, want %v", fail, tt.want)
			}
		})
	}
}

// TestVerifyKeyConfusion signs with the public key as an HMAC secret in every form that it is published in.
func TestVerifyKeyConfusion(t *testing.T) {
	idp := oidctest.New(t)
	cfg := issuerConfig(idp.URL)
	v := newTestVerifier(t, time.Now, cfg)
	k := idp.Key(t, "RS256")
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "modulus": modulus(k.Private.Public()),
	} {
		for _, alg := range []string{"HS256", "RS256"} {
			input := oidctest.Encode([]byte(`{"alg":"`+alg+`","kid":"`+k.ID+`"}`)) + "." + strings.Split(idp.Token(t, "a"), ".")[1]
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			_, fail := v.verify(withBudget(t), input+"."+oidctest.Encode(mac.Sum(nil)), "")
			if c := code(fail); c != wire.AlgorithmNotAllowed && c != wire.SignatureInvalid {
				t.Errorf("%s as %s: got %v", name, alg, fail)
			}
		}
	}
}

func modulus(k crypto.PublicKey) []byte { return k.(*rsa.PublicKey).N.Bytes() }

func TestVerifyECDSAForms(t *testing.T) {
	idp := oidctest.New(t, "ES256")
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	k := idp.Key(t, "ES256")
	good := k.Sign(t, nil, idp.AccessToken("a"))
	input := good[:strings.LastIndexByte(good, '.')]
	digest := sha256.Sum256([]byte(input))
	asn1, err := k.Private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for name, signature := range map[string][]byte{"zeros": make([]byte, 64), "ASN.1": asn1, "short": make([]byte, 63), "long": make([]byte, 65)} {
		if _, fail := v.verify(withBudget(t), input+"."+oidctest.Encode(signature), ""); code(fail) != wire.SignatureInvalid {
			t.Errorf("%s: got %v", name, fail)
		}
	}
}

// TestVerifyIssuersAreApart: one kid at two issuers, and a token of one with the key of the other.
func TestVerifyIssuersAreApart(t *testing.T) {
	a, b := oidctest.New(t), oidctest.New(t)
	v := newTestVerifier(t, time.Now, issuerConfig(a.URL), issuerConfig(b.URL))
	if _, fail := v.verify(withBudget(t), a.Token(t, "x"), ""); fail != nil {
		t.Fatal(fail)
	}
	if _, fail := v.verify(withBudget(t), b.Token(t, "x"), ""); fail != nil {
		t.Fatal(fail)
	}
	forged := b.Key(t, "RS256").Sign(t, map[string]any{"kid": a.Key(t, "RS256").ID}, a.AccessToken("x"))
	if _, fail := v.verify(withBudget(t), forged, ""); code(fail) != wire.SignatureInvalid {
		t.Errorf("key of B for a token of A: %v", fail)
	}
	forged = b.Key(t, "RS256").Sign(t, nil, a.AccessToken("x"))
	if _, fail := v.verify(withBudget(t), forged, ""); fail == nil {
		t.Error("kid of B for a token of A was accepted")
	}
}
