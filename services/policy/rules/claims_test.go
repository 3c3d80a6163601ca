package rules

import (
	"reflect"
	"testing"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

var claimLimits = strictjson.Limits{MaxBytes: wire.MaxClaimsBytes, MaxDepth: wire.MaxDepth, MaxMembers: wire.MaxClaimsBytes}

// FuzzClaims: of every object that the wire takes, the claims that are needed come out as encoding/json reads them, and
// no others.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : "x" , "b":[1,{"c":"}\""}], "d":{"e":"]"} } `, `{"a":"\u00e9","\u0061b":-1.5e3,"c":null}`, `{"a":"é\\","b":"\"","c":"\\\""}`,
		`{"a":400938672414788646,"b":1e400,"c":true}`, `{"":"x","a":""}`, "{\"a\":\"\x7f\"}", `[]`, `"a"`, `{"a":{"b":{}},"c":[]}`,
	} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		needs := claimNeeds{names: map[string]bool{name: true, "b": true}}
		got, err := needs.decode(raw) // must not panic, whatever raw is
		if strictjson.CheckObject(raw, claimLimits) != nil {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		all, err := decodeObject(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		for n := range needs.names {
			if v, ok := all[n]; ok {
				want[n] = v
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %v, want %v", raw, got, want)
		}
	})
}

func TestClaimsThatAreNoObject(t *testing.T) {
	needs := claimNeeds{names: map[string]bool{"a": true}}
	for _, raw := range []string{``, `null`, `[]`, `"a"`, `7`, `{`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{"a":tru}`} {
		if got, err := needs.decode([]byte(raw)); err == nil {
			t.Errorf("%s: got %v", raw, got)
		}
	}
}

// TestClaimNeeds: which claims a policy asks for, and which it must have all of.
func TestClaimNeeds(t *testing.T) {
	for _, tt := range []struct {
		when  string
		whole bool
		names []string
	}{
		{`true`, false, nil},
		{`claims.a == "x" && has(claims.b) && claims["urn:c"] == "y" && "d" in claims`, false, []string{"a", "b", "urn:c", "d"}},
		{`claims.a.b.c == "x"`, false, []string{"a"}},
		{`claims[claims.a] == "x"`, true, []string{"a"}},
		{`claims.all(k, k != "x")`, true, nil},
		{`issuer in claims`, true, nil},
		{`size(claims) > 2`, true, nil},
		{`claims == {"a": "x"}`, true, nil},
	} {
		env, err := newEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		c, err := env.compile(tt.when)
		if err != nil {
			t.Fatal(err)
		}
		if c.wholeClaims != tt.whole || !reflect.DeepEqual(c.claims, tt.names) {
			t.Errorf("%s: whole %v, claims %q", tt.when, c.wholeClaims, c.claims)
		}
	}
	needs := claimNeeds{names: map[string]bool{}}
	needs.addPath("urn:a.b.c")
	if want := map[string]bool{"urn:a.b.c": true, "urn:a": true}; !reflect.DeepEqual(needs.names, want) {
		t.Errorf("a path needs %v", needs.names)
	}
}

// BenchmarkClaims is what it saves to decode no more claims than are needed.
func BenchmarkClaims(b *testing.B) {
	raw := []byte(`{"aud":["400938672314125350"],"client_id":"sensor-a","exp":1795517272,"iat":1795474072,"iss":"https://zitadel.example.com","jti":"V2_1-at_2","nbf":1795474072,"sub":"400938672414788646","urn:zitadel:iam:org:project:400938672314125350:roles":{"device":{"400938383779630118":"zitadel.localhost"}},"urn:zitadel:iam:user:metadata":{"device_id":"c2Vuc29yLWE"}}`)
	for _, bench := range []struct {
		name  string
		needs claimNeeds
	}{{"all", claimNeeds{whole: true}}, {"sub alone", claimNeeds{names: map[string]bool{"sub": true}}}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.needs.decode(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
