package tokencheck

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// badRows are the rows of all tables of bad tokens, seeds for the fuzzers.
func badRows(f *testing.F) []row {
	f.Helper()
	idp := oidctest.New(f, headerAlgorithms...)
	return slices.Concat(formRows(f, idp), headerRows(f, idp), claimRows(f, idp))
}

// FuzzCompact: a token that is cut is exactly what its parts encode to, so that no two texts are one token.
func FuzzCompact(f *testing.F) {
	for _, r := range badRows(f) {
		f.Add(r.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, fail := parseCompact(token)
		if fail != nil {
			if fail.Code.Class() != wire.Definite {
				t.Fatalf("%v is not definite", fail)
			}
			return
		}
		if again := oidctest.Encode(c.header) + "." + oidctest.Encode(c.payload) + "." + oidctest.Encode(c.signature); again != token || c.signed()+"."+oidctest.Encode(c.signature) != token {
			t.Fatalf("%q is also %q", token, again)
		}
	})
}

// segments adds one part of every row's token, decoded.
func segments(f *testing.F, part int) {
	f.Helper()
	for _, r := range badRows(f) {
		if parts := strings.Split(r.token, "."); len(parts) > part {
			if data, err := base64.RawURLEncoding.DecodeString(parts[part]); err == nil {
				f.Add(data)
			}
		}
	}
}

// FuzzHeader: what is read is what encoding/json reads under exactly these names, and nothing forbidden is in it, in any
// case.
func FuzzHeader(f *testing.F) {
	segments(f, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		h, fail := parseHeader(data)
		if fail != nil {
			return
		}
		var exact map[string]any
		if err := json.Unmarshal(data, &exact); err != nil {
			t.Fatal(err)
		}
		if alg, _ := exact["alg"].(string); alg != h.Algorithm {
			t.Fatalf("alg %q, want %q", h.Algorithm, alg)
		}
		for name := range exact {
			if slices.Contains([]string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"}, strings.ToLower(name)) {
				t.Fatalf("%q was accepted", name)
			}
		}
		if h.checkKeyID() == nil && h.KeyID != nil {
			if kid, _ := exact["kid"].(string); kid != h.kid || kid == "" {
				t.Fatalf("kid %q, want %q", h.kid, kid)
			}
		}
	})
}

// FuzzClaims: what is read is what encoding/json reads under exactly these names, with times in their bounds.
func FuzzClaims(f *testing.F) {
	segments(f, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, fail := parseClaims(data, maxTime)
		if fail != nil {
			return
		}
		var exact map[string]any
		if err := json.Unmarshal(data, &exact); err != nil {
			t.Fatal(err)
		}
		iss, _ := exact["iss"].(string)
		sub, _ := exact["sub"].(string)
		if iss != c.issuer || sub != c.subject || len(c.all) != len(exact) {
			t.Fatalf("iss %q sub %q of %d members, want %q %q of %d", c.issuer, c.subject, len(c.all), iss, sub, len(exact))
		}
		for _, at := range []int64{c.expires, c.issued, c.before} {
			if at < 0 || at > maxTime {
				t.Fatalf("a time of %d", at)
			}
		}
		for name, raw := range c.all {
			got, ok := texts(raw)
			if want, wanted := escapedTexts(raw); raw[0] == '[' && (ok != wanted || !slices.Equal(got, want)) {
				t.Fatalf("%s: texts %q %v, want %q %v", name, got, ok, want, wanted)
			}
			if raw[0] != '{' {
				continue
			}
			names, ok := memberNames(raw)
			object, _ := exact[name].(map[string]any)
			if want := slices.Sorted(maps.Keys(object)); !ok || !slices.Equal(slices.Sorted(slices.Values(names)), want) {
				t.Fatalf("%s: members %q %v, want %q", name, names, ok, want)
			}
		}
		// Whatever else it holds, reading on must not panic.
		_, _ = c.roles("realm_access.roles")
		_, _ = c.binding()
		_ = c.metadata()
		_ = c.checkKind(&IssuerConfig{Profile: profileZitadel}, "")
	})
}

// FuzzAnswer: an answer counts as active only where encoding/json reads true under exactly this name.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"active":true}`, `{"active":false}`, `{"Active":true}`, `{"active":"true"}`, `{"active":true,"active":false}`, `{}`, `{"active":true,"exp":253402300799}`} {
		f.Add([]byte(seed))
	}
	segments(f, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAnswer(data)
		if err != nil {
			return
		}
		var exact map[string]any
		if err := json.Unmarshal(data, &exact); err != nil || exact["active"] != a.active {
			t.Fatalf("active %v of %s", a.active, data)
		}
	})
}

// FuzzVerify: no text but the token itself is accepted, and none is trouble of ours.
func FuzzVerify(f *testing.F) {
	idp := oidctest.New(f)
	v := newTestVerifier(f, time.Now, claimConfig(idp))
	known := map[string]bool{}
	for _, r := range slices.Concat(formRows(f, idp), claimRows(f, idp)) {
		f.Add(r.token)
		known[r.token] = r.want == 0
	}
	if _, err := v.issuers[idp.URL].keys.refresh(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, fail := v.verify(t.Context(), token, "")
		if fail == nil && !known[token] {
			t.Fatalf("accepted %q", token)
		}
		if fail != nil && fail.Code == wire.Internal {
			t.Fatal(fail)
		}
	})
}
