package tokencheck

import (
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/config"
)

const configText = `
nats: { urls: [nats://127.0.0.1:4222], user: auth, password_file: PASSWORD }
issuers:
  - issuer: https://id.example.com
    audiences: ["7"]
    algorithms: [RS256]
`

// loadConfig reads configuration text with further lines and returns what is wrong with it, in one text.
func loadConfig(t *testing.T, more string) (cfg *Config, warnings, problems string) {
	t.Helper()
	secret := string(secretFile(t, "password", "auth"))
	cfg = &Config{}
	warned, err := config.Load(string(secretFile(t, "tokencheck.yaml", strings.ReplaceAll(configText+more, "PASSWORD", secret))), cfg)
	if err != nil {
		problems = err.Error()
	}
	return cfg, warned.Error(), problems
}

func TestConfig(t *testing.T) {
	const introspection = "    introspection: { client_id: c, client_secret_file: PASSWORD }\n"
	const second = "  - { issuer: https://two.example.com, audiences: [x], algorithms: [RS256], introspect: WHICH, introspection: { client_id: c, client_secret_file: PASSWORD } }\n"
	with := func(which string) string { return strings.ReplaceAll(second, "WHICH", which) }
	for _, tt := range []struct{ name, more, problem string }{
		{"the least", "", ""},
		{"kind any", "    kind: any\n", ""},
		{"kind any with zitadel", "    kind: any\n    profile: zitadel\n", "issuers[0].kind"},
		{"kind unknown", "    kind: id\n", "issuers[0].kind"},
		{"typ unknown", "    typ: jwt\n", "issuers[0].typ"},
		{"profile unknown", "    profile: keycloak\n", "issuers[0].profile"},
		{"leeway too long", "    leeway: 121s\n", "issuers[0].leeway"},
		{"leeway none", "    leeway: 0s\n", ""},
		{"leeway negative", "    leeway: -1s\n", "issuers[0].leeway"},
		{"token bound too large", "    max_token_bytes: 16385\n", "issuers[0].max_token_bytes"},
		{"required claim that no JSON says", "    required_claims: { a: .nan }\n", "issuers[0].required_claims.a"},
		{"required claim without values", "    required_claims: { a: [] }\n", "issuers[0].required_claims.a"},
		{"introspect unknown", "    introspect: sometimes\n", "issuers[0].introspect"},
		{"introspect without a client", "    introspect: opaque\n", "issuers[0].introspection"},
		{"a client that is not used", introspection, "introspect must say"},
		{"introspect", "    introspect: always\n" + introspection, ""},
		{"introspection over plain http", "    introspect: jwt\n    introspection: { client_id: c, client_secret_file: PASSWORD, endpoint: \"http://id.example.com/i\" }\n", "issuers[0].introspection.endpoint"},
		{"cache_ttl too long", "    introspect: jwt\n    introspection: { client_id: c, client_secret_file: PASSWORD, cache_ttl: 2m }\n", "issuers[0].introspection.cache_ttl"},
		{"inactive believed for longer", "    introspect: jwt\n    introspection: { client_id: c, client_secret_file: PASSWORD, cache_ttl: 1s, inactive_ttl: 2s }\n", "issuers[0].introspection.inactive_ttl"},
		{"one takes opaque tokens, one JWTs", "    introspect: opaque\n" + introspection + with("jwt"), ""},
		{"two take opaque tokens", "    introspect: opaque\n" + introspection + with("opaque"), "issuers[1].introspect"},
		{"two take everything", "    introspect: always\n" + introspection + with("always"), "issuers[0] takes opaque tokens already"},
	} {
		_, _, problems := loadConfig(t, tt.more)
		if (problems == "") != (tt.problem == "") || !strings.Contains(problems, tt.problem) {
			t.Errorf("%s: %q, want %q", tt.name, problems, tt.problem)
		}
	}
}

func TestConfigZitadelRoles(t *testing.T) {
	cfg, _, problems := loadConfig(t, "    profile: zitadel\n")
	if problems != "" || cfg.Issuers[0].RolesClaim != "urn:zitadel:iam:org:project:7:roles" {
		t.Errorf("roles_claim %q %s", cfg.Issuers[0].RolesClaim, problems)
	}
	_, warnings, problems := loadConfig(t, "    profile: zitadel\n    roles_claim: \"\"\n    max_lifetime: 1h\n  - { issuer: https://two.example.com, audiences: [a, b], algorithms: [RS256], profile: zitadel }\n")
	if problems != "" || !strings.Contains(warnings, "issuers[1].roles_claim") || strings.Contains(warnings, "issuers[0].roles_claim") {
		t.Errorf("warnings %q %s", warnings, problems)
	}
}
