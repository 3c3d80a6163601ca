package tokencheck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// capture is one token of a real Zitadel, with the key that verifies it.
type capture struct {
	Source   string          `json:"source"`
	Kind     string          `json:"kind"`
	Issuer   string          `json:"issuer"`
	KeyID    string          `json:"kid"`
	Alg      string          `json:"alg"`
	IssuedAt int64           `json:"iat"`
	Expires  int64           `json:"exp"`
	Token    string          `json:"token"`
	JWK      json.RawMessage `json:"jwk"`
}

const (
	zitadelIssuer  = "http://localhost:18080"
	zitadelProject = "400938672314125350"
	zitadelRoles   = "urn:zitadel:iam:org:project:" + zitadelProject + ":roles"
)

func captures(t *testing.T) []capture {
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

// verifyCapture judges one capture a second after it was issued, by a service that knows its key.
func verifyCapture(t *testing.T, c capture, change func(*IssuerConfig)) (*wire.Verified, *wire.Error) {
	t.Helper()
	now := time.Unix(c.IssuedAt+1, 0)
	cfg := IssuerConfig{
		Issuer:     zitadelIssuer,
		Audiences:  []string{zitadelProject},
		Algorithms: []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"},
		Profile:    profileZitadel,
		RolesClaim: zitadelRoles,
	}
	if change != nil {
		change(&cfg)
	}
	cfg.setDefaults()
	rules, err := newIssuerRules(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	set, err := parseKeySet([]byte(`{"keys":[`+string(c.JWK)+`]}`), now)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return now }
	keys := newKeyring(nil, time.Hour, clock, zap.NewNop())
	keys.take(set)
	v := &verifier{issuers: map[string]*issuer{zitadelIssuer: {issuerRules: rules, keys: keys, verdicts: newVerdicts(16, 1<<20)}}, now: clock}
	return v.verify(t.Context(), c.Token, "")
}

// TestZitadel is the table of what a real Zitadel issued and what must become of it.
func TestZitadel(t *testing.T) {
	algorithmsSeen := map[string]bool{}
	for _, c := range captures(t) {
		t.Run(c.Source+"/"+c.Kind+"/"+c.Alg, func(t *testing.T) {
			want := wantForCapture(c)
			v, fail := verifyCapture(t, c, nil)
			if code(fail) != want.code {
				t.Fatalf("got %v, want %v", fail, want.code)
			}
			if fail != nil {
				return
			}
			algorithmsSeen[c.Alg] = true
			if v.Subject == "" || v.Issuer != zitadelIssuer || v.KeyID != c.KeyID || v.ExpiresAt != c.Expires {
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
}

type captureWant struct {
	code wire.Code
	role bool
}

func wantForCapture(c capture) captureWant {
	number, _, _ := strings.Cut(c.Source, "-")
	switch {
	case c.Kind != "access_token":
		// ID tokens without the project in aud, and those that are over when they are issued, fail on that first or on their
		// kind; TestZitadelKind looks at the kind alone.
		return captureWant{code: wantForOther(c)}
	case slices.Contains([]string{"13", "14", "17"}, number):
		return captureWant{code: wire.AudienceMismatch}
	case number == "18":
		// Authentic, but for a project that is not ours; TestZitadelForeignProject looks at its role.
		return captureWant{code: wire.AudienceMismatch}
	case slices.Contains([]string{"15", "19", "82", "83", "90"}, number):
		return captureWant{role: false}
	}
	return captureWant{role: true}
}

func wantForOther(c capture) wire.Code {
	parts, fail := parseCompact(c.Token)
	if fail != nil {
		return fail.Code
	}
	body, fail := parseClaims(parts.payload)
	if fail != nil {
		return fail.Code
	}
	if !slices.Contains(body.audience, zitadelProject) {
		return wire.AudienceMismatch
	}
	return wire.TokenWrongKind
}

// TestZitadelKind holds every token that is no access token against a configuration that leaves nothing else to refuse
// it for.
func TestZitadelKind(t *testing.T) {
	for _, c := range captures(t) {
		if c.Kind == "access_token" {
			continue
		}
		parts, fail := parseCompact(c.Token)
		if fail != nil {
			t.Fatal(fail)
		}
		body, fail := parseClaims(parts.payload)
		if fail != nil {
			t.Fatal(fail)
		}
		_, fail = verifyCapture(t, c, func(cfg *IssuerConfig) { cfg.Audiences = body.audience })
		if code(fail) != wire.TokenWrongKind {
			t.Errorf("%s %s: got %v, want token_wrong_kind", c.Source, c.Kind, fail)
		}
	}
}

// TestZitadelForeignProject: asking for another project's audience is granted by Zitadel, without any role of it.
func TestZitadelForeignProject(t *testing.T) {
	for _, c := range captures(t) {
		if !strings.HasPrefix(c.Source, "18-") || c.Kind != "access_token" {
			continue
		}
		v, fail := verifyCapture(t, c, func(cfg *IssuerConfig) { cfg.Audiences = []string{"123456789"} })
		if fail != nil || len(v.Roles) != 0 {
			t.Errorf("%v, roles %v; want authentic and without roles", fail, v)
		}
		return
	}
	t.Error("capture 18 is missing")
}
