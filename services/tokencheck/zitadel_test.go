package tokencheck

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// capture is one token of a real Zitadel, with the key that verifies it.
type capture struct {
	Source   string          `json:"source"`
	Kind     string          `json:"kind"`
	KeyID    string          `json:"kid"`
	Alg      string          `json:"alg"`
	Subject  string          `json:"sub"`
	IssuedAt int64           `json:"iat"`
	Expires  int64           `json:"exp"`
	Token    string          `json:"token"`
	JWK      json.RawMessage `json:"jwk"`
}

// number is the capture's; several tokens may have one.
func (c capture) number() string {
	n, _, _ := strings.Cut(c.Source, "-")
	return n
}

const (
	zitadelIssuer  = "http://localhost:18080"
	zitadelProject = "400938672314125350"
	zitadelRoles   = "urn:zitadel:iam:org:project:" + zitadelProject + ":roles"
)

func captures(t testing.TB) []capture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "zitadel", "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []capture
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) != 50 {
		t.Fatalf("%d captures, want 50", len(out))
	}
	return out
}

// zitadelBench is a replica that is configured for the captured Zitadel as an operator would, and has all its keys.
func zitadelBench(t *testing.T, all []capture, change func(*IssuerConfig)) *bench {
	t.Helper()
	var keys []json.RawMessage
	seen := map[string]bool{}
	for _, c := range all {
		if !seen[c.KeyID] {
			seen[c.KeyID], keys = true, append(keys, c.JWK)
		}
	}
	idp := oidctest.New(t)
	idp.Handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys}) // a client that has gone is the test's business
	})
	cfg := IssuerConfig{
		Issuer:     zitadelIssuer,
		Audiences:  []string{zitadelProject},
		Algorithms: []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"},
		Profile:    profileZitadel,
		JWKSURI:    idp.URL + "/oauth/v2/keys",
		StaleLimit: 10 * 365 * 24 * time.Hour, // the clock goes back to the day of the capture
	}
	if change != nil {
		change(&cfg)
	}
	cfg.setDefaults()
	b := newBench(t, cfg)
	iss := b.service.verifier.issuers[zitadelIssuer]
	natstest.Eventually(t, "the keys are there", func() bool { return iss.keys.current.Load() != nil })
	return b
}

// TestZitadel is the table of what a real Zitadel issued and what must become of it, each a second after it was issued.
func TestZitadel(t *testing.T) {
	all := captures(t)
	b := zitadelBench(t, all, nil)
	algorithmsSeen := map[string]bool{}
	rows := map[string]int{}
	for _, c := range all {
		t.Run(c.Source+"/"+c.Kind+"/"+c.Alg, func(t *testing.T) {
			want := wantForCapture(c)
			rows[want.row]++
			b.setClock(time.Unix(c.IssuedAt+1, 0))
			v, fail := b.check(c.Token, "")
			if code(fail) != want.code {
				t.Fatalf("got %v, want %v", fail, want.code)
			}
			if fail != nil {
				return
			}
			algorithmsSeen[c.Alg] = true
			if v.Subject != c.Subject || v.Issuer != zitadelIssuer || v.KeyID != c.KeyID || v.Algorithm != c.Alg || v.ExpiresAt != c.Expires {
				t.Errorf("verified %+v", v)
			}
			if got := slices.Contains(v.Roles, "device"); got != want.role {
				t.Errorf("role device: %v, want %v (roles %v)", got, want.role, v.Roles)
			}
		})
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"} {
		if !algorithmsSeen[alg] {
			t.Errorf("no accepted token with %s", alg)
		}
	}
	// Every row of the captures' table has its tokens; none fell through.
	if got, want := fmt.Sprint(rows), "map[accepted:22 no role:5 other audience:4 wrong kind:19]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

type captureWant struct {
	row  string
	code wire.Code
	role bool
}

func wantForCapture(c capture) captureWant {
	switch n := c.number(); {
	case c.Kind != "access_token":
		// Some lack the project in aud, and all but two are over when they are issued: the first of these that is looked at
		// refuses them. TestZitadelKind leaves the kind alone to do so.
		return captureWant{row: "wrong kind", code: wantForOther(c)}
	case slices.Contains([]string{"13", "14", "17", "18"}, n):
		// 18 asked for a project that does not exist; TestZitadelForeignProject looks at its role.
		return captureWant{row: "other audience", code: wire.AudienceMismatch}
	case slices.Contains([]string{"15", "19", "82", "83", "90"}, n):
		return captureWant{row: "no role"}
	}
	return captureWant{row: "accepted", role: true}
}

func wantForOther(c capture) wire.Code {
	body, err := payloadOf(c)
	if err == nil && !slices.Contains(body.audience, zitadelProject) {
		return wire.AudienceMismatch
	}
	return wire.TokenWrongKind
}

func payloadOf(c capture) (*claims, error) {
	parts, fail := parseCompact(c.Token)
	if fail != nil {
		return nil, fail
	}
	body, fail := parseClaims(parts.payload, maxTime)
	if fail != nil {
		return nil, fail
	}
	return body, nil
}

// TestZitadelKind holds every token that is no access token against a configuration that leaves nothing else to refuse
// it for, and against one that takes ID tokens of others: neither accepts it.
func TestZitadelKind(t *testing.T) {
	all := captures(t)
	audiences := map[string]bool{}
	for _, c := range all {
		body, err := payloadOf(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range body.audience {
			audiences[a] = true
		}
	}
	b := zitadelBench(t, all, func(cfg *IssuerConfig) {
		cfg.Audiences, cfg.RolesClaim = nil, zitadelRoles
		for a := range audiences {
			cfg.Audiences = append(cfg.Audiences, a)
		}
	})
	others := 0
	for _, c := range all {
		if c.Kind == "access_token" {
			continue
		}
		others++
		b.setClock(time.Unix(c.IssuedAt+1, 0))
		b.want(c.Source+" "+c.Kind, c.Token, wire.TokenWrongKind)
	}
	if others != 19 {
		t.Errorf("%d tokens of another kind, want 19", others)
	}
}

// TestZitadelForeignProject: asking for another project's audience is granted by Zitadel, without any role of it.
func TestZitadelForeignProject(t *testing.T) {
	all := captures(t)
	b := zitadelBench(t, all, func(cfg *IssuerConfig) { cfg.Audiences = []string{"123456789"} })
	for _, c := range all {
		if c.number() != "18" || c.Kind != "access_token" {
			continue
		}
		b.setClock(time.Unix(c.IssuedAt+1, 0))
		v, fail := b.check(c.Token, "")
		if fail != nil || len(v.Roles) != 0 {
			t.Errorf("%v, roles %v; want authentic and without roles", fail, v)
		}
		return
	}
	t.Error("capture 18 is missing")
}

// TestZitadelMetadata: they come decoded. The device of 80 and 81 changed its own: what they say is no identity, and sub is.
func TestZitadelMetadata(t *testing.T) {
	all := captures(t)
	b := zitadelBench(t, all, nil)
	subject := ""
	for number, want := range map[string]string{
		"10": "map[device_id:sensor-a site:Zürich/Süd?>~]",
		"11": "map[device_id:sensor-b site:Zürich/Süd?>~]",
		"19": "map[]",
	} {
		i := slices.IndexFunc(all, func(c capture) bool { return c.number() == number && c.Kind == "access_token" })
		b.setClock(time.Unix(all[i].IssuedAt+1, 0))
		v, fail := b.check(all[i].Token, "")
		if fail != nil || fmt.Sprint(v.Metadata) != want {
			t.Errorf("%s: %v %v, want %s", number, v, fail, want)
		}
		if number == "10" {
			subject = v.Subject
		}
	}
	for _, c := range all {
		if (c.number() != "80" && c.number() != "81") || c.Kind != "access_token" {
			continue
		}
		b.setClock(time.Unix(c.IssuedAt+1, 0))
		v, fail := b.check(c.Token, "")
		if fail != nil || v.Subject != subject {
			t.Errorf("%s: %v %v, want the subject of sensor-a, %s", c.Source, v, fail, subject)
		}
	}
}
