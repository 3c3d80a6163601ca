package tokencheck

import (
	"fmt"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// results is an explanation in one line: the check that failed, and how many passed before and were not reached after it.
func results(e *Explanation) (failedCheck string, before, after int) {
	for _, c := range e.Checks {
		switch c.Result {
		case passed:
			before++
		case failed:
			failedCheck = c.Check
		case notReached:
			after++
		}
	}
	return failedCheck, before, after
}

func TestExplain(t *testing.T) {
	idp := oidctest.New(t, "RS256", "ES256")
	b := newBench(t, introspecting(t, idp, introspectAlways))
	k := idp.Key(t, "RS256")
	base := idp.AccessToken("sensor-a")
	sign := func(change oidctest.Claims) string { return k.Sign(t, nil, base.With(change)) }
	good := sign(nil)
	revoked := sign(oidctest.Claims{"jti": "revoked"})
	idp.Revoke(revoked)
	for _, tt := range []struct {
		name, token, check string
		code               wire.Code
		problem            string
	}{
		{"good", good, "", 0, ""},
		{"not a token", "a b", "form", wire.TokenMalformed, ""},
		{"header", k.Sign(t, map[string]any{"jku": "https://x"}, base), "header", wire.HeaderForbidden, "jku"},
		{"payload", k.SignRaw(t, nil, []byte("[]")), "payload", wire.TokenMalformed, ""},
		{"issuer", sign(oidctest.Claims{"iss": "https://evil.example.com"}), "iss", wire.IssuerUnknown, "https://evil.example.com"},
		{"algorithm", k.Sign(t, map[string]any{"alg": "HS256"}, base), "alg", wire.AlgorithmNotAllowed, "HS256"},
		{"type", k.Sign(t, map[string]any{"typ": "logout+jwt"}, base), "typ", wire.TokenWrongKind, ""},
		{"kid", k.Sign(t, map[string]any{"kid": 1}, base), "kid", wire.KeyIDMissing, ""},
		{"expired", sign(oidctest.Claims{"exp": 1}), "times", wire.TokenExpired, ""},
		{"audience", sign(oidctest.Claims{"aud": "x"}), "aud", wire.AudienceMismatch, ""},
		{"subject", sign(oidctest.Claims{"sub": ""}), "sub", wire.SubjectInvalid, ""},
		{"ID token", sign(oidctest.Claims{"nonce": "x"}), "kind", wire.TokenWrongKind, "nonce"},
		{"key", k.Sign(t, map[string]any{"kid": "gone"}, base), "key", wire.KeyUnknown, "kid gone"},
		{"signature", good[:len(good)-6] + "AAAAAA", "signature", wire.SignatureInvalid, ""},
		{"DPoP", sign(oidctest.Claims{"cnf": map[string]any{"jkt": "x"}}), "cnf", wire.BindingUnsupported, ""},
		{"roles", sign(oidctest.Claims{oidctest.RolesClaim: 1}), "roles", wire.ClaimInvalid, ""},
		{"certificate", sign(oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint}}), "certificate", wire.CertificateMismatch, ""},
		{"deactivated", revoked, "introspection", wire.TokenInactive, ""},
		{"opaque, unknown", "dGhpcyBpcyBvcGFxdWU", "introspection", wire.TokenInactive, ""},
		{"opaque, good", idp.Opaque(base), "", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := b.explain(tt.token, "")
			at, before, after := results(e)
			want := checks
			if strings.HasPrefix(tt.name, "opaque") {
				want = opaqueChecks
			}
			if at != tt.check || before+after+min(1, len(at)) != len(want) || len(e.Checks) != len(want) {
				t.Errorf("failed at %q after %d, %d not reached; want %q of %d", at, before, after, tt.check, len(want))
			}
			for i, c := range e.Checks {
				if c.Check != want[i].name || (c.Result == notReached) != (i > before) {
					t.Errorf("check %d is %+v", i, c)
				}
				if c.Result == failed && !strings.Contains(c.Problem, tt.problem) {
					t.Errorf("problem %q, want %q in it", c.Problem, tt.problem)
				}
			}
			if tt.code == 0 {
				if e.Error != nil || e.Verified == nil || e.Verified.Subject != base["sub"] || e.Issuer != idp.URL {
					t.Fatalf("%+v", e)
				}
				return
			}
			if e.Verified != nil || e.Error == nil || e.Error.Code != tt.code || e.Error.Token.Check != tt.check {
				t.Fatalf("%+v %+v, want %v at %s", e, e.Error, tt.code, tt.check)
			}
		})
	}
	e := b.explain(good, "")
	if e.KeyID != k.ID || e.Algorithm != "RS256" || len(e.KnownKeys) != 2 || e.KeySet != e.Verified.KeySet {
		t.Errorf("%+v", e)
	}
	if got := b.service.tally.copy(); len(got) != 1 { // what newBench asked
		t.Errorf("explaining is counted as judging: %v", got)
	}
}

// TestRefusalsAreNamed: the callout's record gets the check, the issuer and, for an unknown key, the known ones; the
// counters the same, with nothing in them that a device chose.
func TestRefusalsAreNamed(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	k := idp.Key(t, "RS256")
	_, fail := b.check(k.Sign(t, map[string]any{"kid": "gone"}, idp.AccessToken("a")), "")
	if code(fail) != wire.KeyUnknown || fail.Token == nil || *fail.Token != (wire.TokenName{Check: "key", Issuer: idp.URL, KeyID: "gone"}) ||
		!strings.Contains(fail.Detail, k.ID) {
		t.Errorf("%+v %+v", fail, fail.Token)
	}
	_, fail = b.check(k.Sign(t, nil, idp.AccessToken("a").With(oidctest.Claims{"iss": "https://evil.example.com"})), "")
	if code(fail) != wire.IssuerUnknown || fail.Token.Issuer != "" {
		t.Errorf("%+v %+v", fail, fail.Token)
	}
	b.want("good", idp.Token(t, "a"), 0)
	b.want("opaque", "dGhpcyBpcyBvcGFxdWU", wire.TokenOpaque)
	counts := b.service.tally.copy()
	delete(counts, outcome{code: wire.BadRequest}) // what newBench asked
	want := map[outcome]int64{
		{idp.URL, wire.KeyUnknown}: 1, {"", wire.IssuerUnknown}: 1, {idp.URL, 0}: 1, {"", wire.TokenOpaque}: 1,
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", counts, want)
	}
	for o, result := range map[outcome]string{{code: 0}: "accepted", {code: wire.KeyUnknown}: "refused", {code: wire.KeySetStale}: "trouble"} {
		if o.result() != result {
			t.Errorf("%v is %s, want %s", o.code, o.result(), result)
		}
	}
}
