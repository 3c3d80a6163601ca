package deployment

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
)

// A provider that speaks the real contract, and tokens that go wrong as first tokens do.
func TestCheck(t *testing.T) {
	issuer := oidctest.New(t)
	good := issuer.AccessToken("sensor-a")
	mint := func(change oidctest.Claims) string { return issuer.Mint(t, "RS256", good.With(change)) }
	for name, c := range map[string]struct {
		token string
		edit  func(*Config)
		rules string
		ok    bool
		says  []string
	}{
		"patient clients": {ok: true, edit: func(c *Config) { c.ClientPatience = 5 * time.Second }, says: []string{"ok     times      servers and callouts wait 5s", "connect timeout of 5s"}},
		"no token":        {ok: true, says: []string{"ok     times      servers and callouts wait 2s", "ok     issuer", "ok     keys", "TOKEN_FILE"}},
		"good": {token: mint(nil), ok: true, says: []string{
			"ok     token", "ok     roles      device", "rule device admits it as device", "device-state." + oidctest.SubjectOf("sensor-a"),
		}},
		"another claim names the device": {token: mint(nil), ok: true, edit: func(c *Config) { c.DeviceID = []string{"device_id"} }, says: []string{`"sensor-a"`}},
		"the operator's own rules": {
			token: mint(nil), ok: true, says: []string{"rule mine admits it"},
			rules: "rules:\n  - { name: mine, when: 'true', publish: { allow: [a] }, subscribe: { allow: [b] } }\n",
		},
		"issuer with a slash":     {edit: func(c *Config) { c.Issuer += "/" }, says: []string{"WRONG  issuer", "exactly what"}},
		"another issuer's token":  {token: mint(oidctest.Claims{"iss": "https://other.example"}), says: []string{"WRONG  token", "issuer_unknown", "https://other.example"}},
		"another project's token": {token: mint(oidctest.Claims{"aud": []string{"77"}}), says: []string{"audience_mismatch", `["77"]`, "project:id:" + oidctest.Project + ":aud"}},
		"no role":                 {token: mint(oidctest.Claims{oidctest.RolesClaim: nil}), says: []string{"ok     roles      none", "no_matching_rule", "give the service user the role device"}},
		"no device id":            {token: mint(nil), edit: func(c *Config) { c.DeviceID = []string{"serial"} }, says: []string{"variable_unresolved", "serial"}},
		"expired":                 {token: mint(oidctest.Claims{"exp": 1700000000, "iat": 1699990000, "nbf": 1699990000}), says: []string{"token_expired", "obtain a new token"}},
		"not a JWT":               {token: "opaque", says: []string{"WRONG  token", "access token type to JWT"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &Config{Issuer: issuer.URL, Project: oidctest.Project}
			if c.edit != nil {
				c.edit(cfg)
			}
			cfg.SetDefaults()
			state := State(t.TempDir())
			if c.rules != "" {
				if err := os.MkdirAll(state.in(policy), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(state.in(policy, rulesFile), []byte(c.rules), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			d := &Deployment{State: state, Out: &out}
			err := d.Check(t.Context(), cfg, c.token)
			if (err == nil) != c.ok {
				t.Errorf("check: %v", err)
			}
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			for part := range strings.SplitSeq(c.token, ".") {
				if len(part) > 10 && strings.Contains(text, part) {
					t.Errorf("a part of the token is in\n%s", text)
				}
			}
		})
	}
	issuer.Fail(http.StatusServiceUnavailable)
	cfg := &Config{Issuer: issuer.URL, Project: oidctest.Project}
	cfg.SetDefaults()
	var out strings.Builder
	if err := (&Deployment{State: State(t.TempDir()), Out: &out}).Check(t.Context(), cfg, ""); err == nil || !strings.Contains(out.String(), "WRONG  issuer") {
		t.Errorf("the provider is down: %v\n%s", err, out.String())
	}
}

func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token.jwt")
	if err := os.WriteFile(file, []byte(" a.b.c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := ReadToken(file, nil); err != nil || token != "a.b.c" {
		t.Errorf("%q %v", token, err)
	}
	if token, err := ReadToken("-", strings.NewReader("d.e.f\n")); err != nil || token != "d.e.f" {
		t.Errorf("%q %v", token, err)
	}
	if _, err := ReadToken("-", strings.NewReader("\n")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("empty: %v", err)
	}
}
