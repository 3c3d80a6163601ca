package tokencheck

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// thumbprint is that of the client's certificate, other that of another.
var thumbprint, other = oidctest.Encode(make([]byte, 32)), oidctest.Encode(bytes.Repeat([]byte{1}, 32))

// claimConfig is the configuration that claimRows are for.
func claimConfig(idp *oidctest.Issuer) IssuerConfig {
	cfg := issuerConfig(idp.URL)
	cfg.RequiredClaims = map[string]any{"tenant": []any{"a", "b"}}
	return cfg
}

// claimRows are what is wrong with a payload that the issuer signed, for a client that showed no certificate.
func claimRows(t testing.TB, idp *oidctest.Issuer) []row {
	t.Helper()
	k := idp.Key(t, "RS256")
	base := idp.AccessToken("sensor-a").With(oidctest.Claims{"tenant": "a"})
	now := time.Now().Unix()
	with := func(name string, value any) string { return k.Sign(t, nil, base.With(oidctest.Claims{name: value})) }
	// text is a payload with further members as they stand.
	text := func(more string) string {
		return k.SignRaw(t, nil, fmt.Appendf(nil, `{"iss":%q,"sub":"1","aud":%q,"tenant":"a"%s}`, idp.URL, oidctest.Project, more))
	}
	raw := func(payload string) string {
		return k.SignRaw(t, nil, []byte(strings.ReplaceAll(payload, "ISS", `"iss":"`+idp.URL+`"`)))
	}
	exp := fmt.Sprintf(`,"exp":%d`, now+600)
	manyRoles := map[string]any{}
	for i := range 5000 {
		manyRoles[fmt.Sprint("role", i)] = 1
	}
	someRoles := make([]string, maxRoles+1)
	for i := range someRoles {
		someRoles[i] = fmt.Sprint("r", i)
	}
	return []row{
		{"as it is", with("x", 1), 0},
		{"aud a string", with("aud", oidctest.Project), 0},
		{"aud with others", with("aud", []string{"x", oidctest.Project}), 0},
		{"just expired, inside the leeway", with("exp", now-5), 0},
		{"nbf inside the leeway", with("nbf", now+20), 0},
		{"iat inside the leeway", with("iat", now+20), 0},
		{"fractional exp", with("exp", float64(now)+60.5), 0},
		{"exp with an exponent", text(fmt.Sprintf(`,"exp":%d.0e0`, now+60)), 0},
		{"required claim in a list", with("tenant", []string{"z", "b"}), 0},
		{"roles a list", with(oidctest.RolesClaim, []string{"device"}), 0},
		{"no roles", with(oidctest.RolesClaim, nil), 0},
		{"no iat", with("iat", nil), 0},
		{"two claims below the top that differ in case", with("x", map[string]any{"a": 1, "A": 2}), 0},

		{"iss of another", with("iss", "https://evil.example.com"), wire.IssuerUnknown},
		{"iss with a slash", with("iss", idp.URL+"/"), wire.IssuerUnknown},
		{"iss in capitals", with("iss", strings.ToUpper(idp.URL)), wire.IssuerUnknown},
		{"iss with a prefix", with("iss", "x"+idp.URL), wire.IssuerUnknown},
		{"iss with a suffix", with("iss", idp.URL+".evil.example.com"), wire.IssuerUnknown},
		{"iss with a path", with("iss", idp.URL+"/realms/x"), wire.IssuerUnknown},
		{"iss with a fragment", with("iss", idp.URL+"#"), wire.IssuerUnknown},
		{"iss with a user", with("iss", strings.Replace(idp.URL, "://", "://x@", 1)), wire.IssuerUnknown},
		{"iss with another port", with("iss", idp.URL+"0"), wire.IssuerUnknown},
		{"iss with another scheme", with("iss", strings.Replace(idp.URL, "http:", "https:", 1)), wire.IssuerUnknown},
		{"iss with a newline", with("iss", idp.URL+"\n"), wire.IssuerUnknown},
		{"iss empty", with("iss", ""), wire.IssuerUnknown},
		{"iss missing", with("iss", nil), wire.IssuerUnknown},
		{"iss null", raw(`{"iss":null,"sub":"1"}`), wire.ClaimInvalid},
		{"iss a list", with("iss", []string{idp.URL}), wire.ClaimInvalid},
		{"iss an object", with("iss", map[string]any{idp.URL: 1}), wire.ClaimInvalid},
		{"iss twice", raw(`{ISS,"iss":"https://evil.example.com"}`), wire.TokenMalformed},

		{"aud missing", with("aud", nil), wire.AudienceMismatch},
		{"aud empty", with("aud", ""), wire.AudienceMismatch},
		{"aud empty list", with("aud", []string{}), wire.AudienceMismatch},
		{"aud list of empty", with("aud", []string{""}), wire.AudienceMismatch},
		{"aud another project", with("aud", []string{"123456789"}), wire.AudienceMismatch},
		{"aud part of ours", with("aud", oidctest.Project[:17]), wire.AudienceMismatch},
		{"aud ours and more", with("aud", oidctest.Project+"0"), wire.AudienceMismatch},
		{"aud ours in one text with another", with("aud", "x "+oidctest.Project), wire.AudienceMismatch},
		{"aud null", raw(`{ISS,"sub":"1","aud":null` + exp + `}`), wire.ClaimInvalid},
		{"aud a number", with("aud", 400938672314125350), wire.ClaimInvalid},
		{"aud true", with("aud", true), wire.ClaimInvalid},
		{"aud an object", with("aud", map[string]any{oidctest.Project: 1}), wire.ClaimInvalid},
		{"aud a list with null", with("aud", []any{oidctest.Project, nil}), wire.ClaimInvalid},
		{"aud a list with a number", with("aud", []any{oidctest.Project, 1}), wire.ClaimInvalid},
		{"aud a list in a list", with("aud", []any{[]string{oidctest.Project}}), wire.ClaimInvalid},
		{"aud of 65 entries", with("aud", slices.Repeat([]string{oidctest.Project}, 65)), wire.ClaimInvalid},
		{"aud of 10,000 entries", with("aud", slices.Repeat([]string{"x"}, 10_000)), wire.TokenTooLarge},

		{"exp missing", with("exp", nil), wire.ClaimInvalid},
		{"exp null", text(`,"exp":null`), wire.ClaimInvalid},
		{"exp a string", with("exp", fmt.Sprint(now+60)), wire.ClaimInvalid},
		{"exp an empty string", with("exp", ""), wire.ClaimInvalid},
		{"exp true", with("exp", true), wire.ClaimInvalid},
		{"exp negative", with("exp", -1), wire.ClaimInvalid},
		{"exp 1e400", text(`,"exp":1e400`), wire.ClaimInvalid},
		{"exp -1e400", text(`,"exp":-1e400`), wire.ClaimInvalid},
		{"exp 1e18", text(`,"exp":1e18`), wire.ClaimInvalid},
		{"exp in milliseconds", with("exp", now*1000), wire.ClaimInvalid},
		{"exp 2^63", with("exp", uint64(1)<<63), wire.ClaimInvalid},
		{"exp 2^64 and a minute", text(`,"exp":18446744073709551676`), wire.ClaimInvalid},
		{"exp a list", with("exp", []int64{now + 60}), wire.ClaimInvalid},
		{"exp an object", with("exp", map[string]any{"t": now + 60}), wire.ClaimInvalid},
		{"expired", with("exp", now-31), wire.TokenExpired},
		{"exp zero", with("exp", 0), wire.TokenExpired},
		{"exp a fraction of a second", text(`,"exp":0.5`), wire.TokenExpired},
		{"exp twice", text(exp + `,"exp":9999999999`), wire.TokenMalformed},
		{"Exp beside exp", with("Exp", now+60), wire.TokenMalformed},
		{"nbf in the future", with("nbf", now+300), wire.TokenNotYetValid},
		{"nbf a little ahead of this clock", with("nbf", now+90), wire.ClockDisagrees},
		{"iat a little ahead of this clock", with("iat", now+90), wire.ClockDisagrees},
		{"nbf a string", with("nbf", "now"), wire.ClaimInvalid},
		{"nbf null", text(exp + `,"nbf":null`), wire.ClaimInvalid},
		{"nbf 1e400", text(exp + `,"nbf":1e400`), wire.ClaimInvalid},
		{"iat in the future", with("iat", now+300), wire.TokenIssuedInFuture},
		{"iat a string", with("iat", "now"), wire.ClaimInvalid},
		{"iat negative", with("iat", -5), wire.ClaimInvalid},
		{"ten years", with("exp", now+10*365*86400), wire.TokenLifetimeTooLong},
		{"ten years, iat missing", k.Sign(t, nil, base.With(oidctest.Claims{"iat": nil, "exp": now + 10*365*86400})), wire.TokenLifetimeTooLong},
		{"ten years, most of them over", with("iat", now-10*365*86400), wire.TokenLifetimeTooLong},
		{"a day and a minute", with("exp", now+86400+60), wire.TokenLifetimeTooLong},

		{"sub missing", with("sub", nil), wire.SubjectInvalid},
		{"sub empty", with("sub", ""), wire.SubjectInvalid},
		{"sub too long", with("sub", strings.Repeat("x", 300)), wire.SubjectInvalid},
		{"sub a number", with("sub", 1), wire.ClaimInvalid},
		{"sub null", raw(`{ISS,"sub":null` + exp + `}`), wire.ClaimInvalid},
		{"sub a list", with("sub", []string{"1"}), wire.ClaimInvalid},
		{"sub twice", raw(`{ISS,"sub":"1","sub":"2"` + exp + `}`), wire.TokenMalformed},
		{"sub twice, once escaped", raw(`{ISS,"sub":"1","s\u0075b":"2"` + exp + `}`), wire.TokenMalformed},
		{"SUB beside sub", with("SUB", "x"), wire.TokenMalformed},
		{"long s in sub", with("ſub", "x"), wire.TokenMalformed},
		{"SUB alone", k.Sign(t, nil, base.With(oidctest.Claims{"sub": nil, "SUB": "x"})), wire.TokenMalformed},
		{"jti a number", with("jti", 1), wire.ClaimInvalid},

		{"an ID token", k.Sign(t, nil, idp.IDToken("sensor-a").With(oidctest.Claims{"tenant": "a"})), wire.TokenWrongKind},
		{"with a nonce", with("nonce", "n"), wire.TokenWrongKind},
		{"with c_hash", with("c_hash", "n"), wire.TokenWrongKind},
		{"with a nonce that is null", text(exp + `,"nonce":null`), wire.TokenWrongKind},
		{"a logout token", with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), wire.TokenWrongKind},
		{"a security event", with("events", map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}}), wire.TokenWrongKind},
		{"Keycloak's ID token", with("typ", "ID"), wire.TokenWrongKind},
		{"Keycloak's refresh token", with("typ", "Refresh"), wire.TokenWrongKind},
		{"Keycloak's offline token", with("typ", "Offline"), wire.TokenWrongKind},
		{"Keycloak's logout token", with("typ", "Logout"), wire.TokenWrongKind},
		{"Cognito's ID token", with("token_use", "id"), wire.TokenWrongKind},
		{"Hydra's refresh token", with("token_use", "refresh_token"), wire.TokenWrongKind},

		{"required claim missing", with("tenant", nil), wire.RequiredClaimMismatch},
		{"required claim differs", with("tenant", "c"), wire.RequiredClaimMismatch},
		{"required claim in capitals", with("tenant", "A"), wire.RequiredClaimMismatch},
		{"required claim an object", with("tenant", map[string]any{"a": 1}), wire.RequiredClaimMismatch},
		{"required claim a list in a list", with("tenant", []any{[]string{"a"}}), wire.RequiredClaimMismatch},
		{"required claim null", k.SignRaw(t, nil, fmt.Appendf(nil, `{"iss":%q,"sub":"1","aud":%q,"tenant":null%s}`, idp.URL, oidctest.Project, exp)), wire.RequiredClaimMismatch},
		{"roles a number", with(oidctest.RolesClaim, 1), wire.ClaimInvalid},
		{"roles a text", with(oidctest.RolesClaim, "device"), wire.ClaimInvalid},
		{"roles a list with a number", with(oidctest.RolesClaim, []any{"device", 1}), wire.ClaimInvalid},
		{"roles a list with null", with(oidctest.RolesClaim, []any{"device", nil}), wire.ClaimInvalid},
		{"roles with an empty name", with(oidctest.RolesClaim, []string{""}), wire.ClaimInvalid},
		{"257 roles", with(oidctest.RolesClaim, someRoles), wire.ClaimInvalid},
		{"5,000 roles", with(oidctest.RolesClaim, manyRoles), wire.TokenTooLarge},

		{"nested twice", text(exp + `,"a":{"b":1,"b":2}`), wire.TokenMalformed},
		{"nested 200 deep", text(exp + `,"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), wire.TokenMalformed},
		{"3,000 elements", text(exp + `,"a":[` + strings.Repeat(`0,`, 2999) + `0]`), wire.TokenMalformed},
		{"not JSON", raw("x"), wire.TokenMalformed},
		{"a list", raw("[]"), wire.TokenMalformed},
		{"a text", raw(`"x"`), wire.TokenMalformed},
		{"null", raw("null"), wire.TokenMalformed},
		{"nothing", raw(""), wire.TokenMalformed},
		{"a JWT in the JWT", raw("eyJhbGciOiJub25lIn0.e30."), wire.TokenMalformed},
		{"trailing data", raw("{ISS}{}"), wire.TokenMalformed},
		{"a byte order mark", raw("\ufeff{ISS}"), wire.TokenMalformed},
		{"UTF-16", raw("\xff\xfe{\x00}\x00"), wire.TokenMalformed},
		{"half a surrogate pair", text(exp + `,"x":"\ud83d"`), wire.TokenMalformed},

		{"bound to a certificate", with("cnf", map[string]any{"x5t#S256": thumbprint}), wire.CertificateMismatch},
		{"bound to a DPoP key", with("cnf", map[string]any{"jkt": other}), wire.BindingUnsupported},
		{"bound to a key", with("cnf", map[string]any{"jwk": map[string]any{"kty": "OKP"}}), wire.BindingUnsupported},
		{"bound to nothing", with("cnf", map[string]any{}), wire.BindingUnsupported},
		{"cnf a string", with("cnf", thumbprint), wire.BindingUnsupported},
		{"cnf null", text(exp + `,"cnf":null`), wire.BindingUnsupported},
	}
}

func TestClaims(t *testing.T) {
	idp := oidctest.New(t)
	rows := claimRows(t, idp)
	b := newBench(t, claimConfig(idp))
	for _, tt := range rows {
		b.want(tt.name, tt.token, tt.want)
	}
	if n := idp.KeyFetches(); n != 1 {
		t.Errorf("%d fetches of the keys, want the one of the start", n)
	}
}

func TestAccepted(t *testing.T) {
	algorithms := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	idp := oidctest.New(t, algorithms...)
	cfg := issuerConfig(idp.URL)
	cfg.Algorithms = algorithms
	b := newBench(t, cfg)
	for _, alg := range algorithms {
		claims := idp.AccessToken("sensor-a")
		got, fail := b.check(idp.Mint(t, alg, claims), "")
		if fail != nil {
			t.Errorf("%s: %v", alg, fail)
			continue
		}
		if got.Issuer != idp.URL || got.Subject != oidctest.SubjectOf("sensor-a") || got.Algorithm != alg || got.KeyID != idp.Key(t, alg).ID ||
			got.ExpiresAt != claims["exp"] || got.IssuedAt != claims["iat"] || got.TokenID != claims["jti"] || fmt.Sprint(got.Roles) != "[device]" ||
			!strings.Contains(string(got.Claims), `"device_id":"sensor-a"`) || got.KeySet == "" || got.Metadata != nil {
			t.Errorf("%s: verified %+v", alg, got)
		}
	}
}

// TestTimes holds the edges of every time, to the second.
func TestTimes(t *testing.T) {
	const now = 1_800_000_000
	leeway, none := 30*time.Second, time.Duration(0)
	for _, tt := range []struct {
		name          string
		leeway        *time.Duration
		exp, nbf, iat int64 // 0 is absent
		want          wire.Code
	}{
		{"exp is now", &none, now, 0, 0, wire.TokenExpired},
		{"exp is the next second", &none, now + 1, 0, 0, 0},
		{"exp is the leeway ago", &leeway, now - 30, 0, 0, wire.TokenExpired},
		{"exp is one second less ago", &leeway, now - 29, 0, 0, 0},
		{"nbf is now", &none, now + 9, now, 0, 0},
		{"nbf is the next second", &none, now + 9, now + 1, 0, wire.ClockDisagrees},
		{"nbf is the leeway ahead", &leeway, now + 99, now + 30, 0, 0},
		{"nbf is one second more ahead", &leeway, now + 99, now + 31, 0, wire.ClockDisagrees},
		{"nbf is as far ahead as a clock may be wrong", &leeway, now + 999, now + 150, 0, wire.ClockDisagrees},
		{"nbf is farther ahead", &leeway, now + 999, now + 151, 0, wire.TokenNotYetValid},
		{"iat is the leeway ahead", &leeway, now + 99, 0, now + 30, 0},
		{"iat is one second more ahead", &leeway, now + 99, 0, now + 31, wire.ClockDisagrees},
		{"iat is farther ahead", &leeway, now + 999, 0, now + 151, wire.TokenIssuedInFuture},
		{"a lifetime of an hour", &none, now + 3600, 0, now, 0},
		{"a lifetime of an hour and a second", &none, now + 3600, 0, now - 1, wire.TokenLifetimeTooLong},
		{"an hour and a second from now", &none, now + 3601, 0, 0, wire.TokenLifetimeTooLong},
		{"a lifetime of an hour, by a clock that is ahead", &leeway, now + 3630, 0, now + 30, 0},
		{"more, by such a clock", &leeway, now + 3631, 0, now + 30, wire.TokenLifetimeTooLong},
	} {
		c := &claims{expires: tt.exp, before: tt.nbf, issued: tt.iat}
		c.has.expires, c.has.before, c.has.issued = tt.exp != 0, tt.nbf != 0, tt.iat != 0
		cfg := &IssuerConfig{Leeway: tt.leeway, MaxLifetime: time.Hour}
		if fail := c.checkTimes(cfg, now); code(fail) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, fail, tt.want)
		}
	}
}

// TestClockDoubtTakesASignature: that clocks differ is transient, and a signal to operators, so nobody but the provider may say it.
func TestClockDoubtTakesASignature(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	early := idp.AccessToken("sensor-a").With(oidctest.Claims{"iat": time.Now().Unix() + 90})
	good := idp.Mint(t, "RS256", early)
	b.want("signed", good, wire.ClockDisagrees)
	b.want("forged", good[:len(good)-8]+"AAAAAAAA", wire.SignatureInvalid)
}

// TestBinding is RFC 8705 section 3 with a client that showed a certificate, another, or none.
func TestBinding(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	for _, tt := range []struct {
		name        string
		cnf         any
		certificate string
		want        wire.Code
	}{
		{"not bound, no certificate", nil, "", 0},
		{"not bound, a certificate", nil, thumbprint, 0},
		{"bound, its certificate", map[string]any{"x5t#S256": thumbprint}, thumbprint, 0},
		{"bound, no certificate", map[string]any{"x5t#S256": thumbprint}, "", wire.CertificateMismatch},
		{"bound, another certificate", map[string]any{"x5t#S256": thumbprint}, other, wire.CertificateMismatch},
		{"bound to a DPoP key", map[string]any{"jkt": other}, thumbprint, wire.BindingUnsupported},
		{"bound to this certificate and to a DPoP key", map[string]any{"x5t#S256": thumbprint, "jkt": other}, thumbprint, wire.BindingUnsupported},
		{"by a member in another case", map[string]any{"x5t#s256": thumbprint}, thumbprint, wire.BindingUnsupported},
		{"to a list", map[string]any{"x5t#S256": []string{thumbprint}}, thumbprint, wire.BindingUnsupported},
		{"to an empty thumbprint", map[string]any{"x5t#S256": ""}, "", wire.BindingUnsupported},
		{"to a padded thumbprint", map[string]any{"x5t#S256": thumbprint + "="}, thumbprint, wire.BindingUnsupported},
		{"to a SHA-1 thumbprint", map[string]any{"x5t#S256": oidctest.Encode(make([]byte, 20))}, oidctest.Encode(make([]byte, 20)), wire.BindingUnsupported},
	} {
		token := idp.Mint(t, "RS256", idp.AccessToken("a").With(oidctest.Claims{"cnf": tt.cnf}))
		// Twice: what is remembered of a token must not be remembered of its client.
		for range 2 {
			if _, fail := b.check(token, tt.certificate); code(fail) != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, fail, tt.want)
			}
		}
	}
	bound := idp.Mint(t, "RS256", idp.AccessToken("a").With(oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint}}))
	for _, step := range []struct {
		certificate string
		want        wire.Code
	}{{thumbprint, 0}, {other, wire.CertificateMismatch}, {"", wire.CertificateMismatch}, {thumbprint, 0}} {
		if _, fail := b.check(bound, step.certificate); code(fail) != step.want {
			t.Errorf("one token, certificate %q: got %v, want %v", step.certificate, fail, step.want)
		}
	}
}

// TestIssuersAreApart: one kid at two issuers, a token of one with the key of the other, and rules that differ.
func TestIssuersAreApart(t *testing.T) {
	one, two := oidctest.New(t), oidctest.New(t)
	strict := issuerConfig(two.URL)
	strict.Audiences, strict.MaxTokenBytes = []string{"another"}, 400
	b := newBench(t, issuerConfig(one.URL), strict)
	b.want("of the first", one.Token(t, "x"), 0)
	b.want("of the second, with the audience and size of the first", two.Token(t, "x"), wire.TokenTooLarge)
	small := func(idp *oidctest.Issuer, audience string) oidctest.Claims {
		return oidctest.Claims{"iss": idp.URL, "sub": "1", "aud": audience, "exp": time.Now().Unix() + 600}
	}
	// An RS256 signature has 342 characters: the second issuer's bound leaves no room, so its tokens are tried with a bound
	// that does.
	strict.MaxTokenBytes = 2000
	b = newBench(t, issuerConfig(one.URL), strict)
	b.want("of the second", two.Mint(t, "RS256", small(two, "another")), 0)
	b.want("of the second, with the audience of the first", two.Mint(t, "RS256", small(two, oidctest.Project)), wire.AudienceMismatch)
	b.want("of the first, with the audience of the second", one.Mint(t, "RS256", small(one, "another")), wire.AudienceMismatch)
	key := map[string]any{"kid": one.Key(t, "RS256").ID}
	b.want("of the first, by the key of the second", two.Key(t, "RS256").Sign(t, key, one.AccessToken("x")), wire.SignatureInvalid)
	b.want("of the first, with the kid of the second", two.Key(t, "RS256").Sign(t, nil, one.AccessToken("x")), wire.KeyUnknown)
}
