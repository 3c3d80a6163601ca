package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// capture is one token of a real Zitadel.
type capture struct {
	Source string          `json:"source"`
	Kind   string          `json:"kind"`
	KeyID  string          `json:"kid"`
	Token  string          `json:"token"`
	JWK    json.RawMessage `json:"jwk"`
}

// capturesAt is a moment at which the captured tokens are valid.
var capturesAt = time.Unix(1795475600, 0)

// zitadelCaptures returns the access tokens by the number in front of their source, and the JWKS that verifies them.
func zitadelCaptures(t *testing.T) (tokens map[string]string, jwks string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "services", "tokencheck", "testdata", "zitadel", "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []capture
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	tokens = map[string]string{}
	var keys []string
	seen := map[string]bool{}
	for _, c := range all {
		number, _, _ := strings.Cut(c.Source, "-")
		if c.Kind == "access_token" {
			tokens[number] = c.Token
		}
		if !seen[c.KeyID] {
			seen[c.KeyID] = true
			keys = append(keys, string(c.JWK))
		}
	}
	return tokens, `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// startZitadel runs tokencheck and policy as an operator configures them for a Zitadel, with the rules that are shipped for it
// and a registry that knows sensor-a by its sub. The clock stands at capturesAt.
func startZitadel(t *testing.T, jwks string) *nats.Conn {
	t.Helper()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(jwks)) }))
	t.Cleanup(keys.Close)
	ns := natstest.Run(t, "")
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	rules, err := filepath.Abs(filepath.Join("..", "services", "policy", "profiles", "zitadel", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write("devices.yaml", "devices:\n  - {issuer: 'http://localhost:18080', subject: '400938672414788646', device_id: sensor-a}\n")
	var tc tokencheck.Config
	load := func(file string, cfg config.Checker) {
		t.Helper()
		if _, err := config.Load(file, cfg); err != nil {
			t.Fatal(err)
		}
	}
	load(write("tokencheck.yaml", fmt.Sprintf(`nats: { urls: [%q] }
issuers:
  - issuer: http://localhost:18080
    audiences: ["400938672314125350"]
    algorithms: [RS256, RS384, RS512, ES256, ES384, ES512, EdDSA]
    profile: zitadel
    roles_claim: "urn:zitadel:iam:org:project:400938672314125350:roles"
    jwks_uri: %q
`, ns.ClientURL(), keys.URL)), &tc)
	var pc policy.Config
	load(write("policy.yaml", fmt.Sprintf("nats: { urls: [%q] }\npolicy_file: %s\nregistry: { mode: optional, file: devices.yaml }\n", ns.ClientURL(), rules)), &pc)
	clock := func() time.Time { return capturesAt }
	check, err := tokencheck.New(&tc, tokencheck.Deps{Log: zap.NewNop(), Version: "0.0.1", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	decide, err := policy.New(&pc, policy.Deps{Log: zap.NewNop(), Version: "0.0.1", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []interface{ Run(context.Context) error }{check, decide} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return natstest.Connect(t, ns)
}

// askUntilServed asks again while nobody serves, and returns the answer and its code.
func askUntilServed(t *testing.T, nc *nats.Conn, subject string, data []byte) ([]byte, string) {
	t.Helper()
	var reply *nats.Msg
	cluster.Eventually(t, subject+" is answered", func() bool {
		m, err := nc.Request(subject, data, cluster.Patience)
		if err != nil {
			return false
		}
		reply = m
		return m.Header.Get(wire.HeaderError) != wire.KeySetUnavailable.String()
	})
	return reply.Data, reply.Header.Get(wire.HeaderError)
}

// TestCapturesOfZitadel takes what a real Zitadel issued through tokencheck and policy: a device is its registered identity
// whatever it wrote into its user name and metadata, and a user of another organization is nobody, though it asked for this
// project's audience or has a device's user name. Explaining comes to the same.
func TestCapturesOfZitadel(t *testing.T) {
	t.Parallel()
	tokens, jwks := zitadelCaptures(t)
	nc := startZitadel(t, jwks)
	for _, tt := range []struct{ capture, about, device, reason, refused string }{
		{"10", "a device", "sensor-a", "", ""},
		{"80", "it wrote another device's id into its metadata", "sensor-a", "", ""},
		{"81", "it gave itself another name", "sensor-a", "", ""},
		{"12", "a device that is not registered", "400938673018768422", "", ""},
		{"15", "a user without the role, with the audience", "", "no_matching_rule", "policy"},
		{"19", "a user without any grant", "", "no_matching_rule", "policy"},
		{"82", "a user of another organization", "", "no_matching_rule", "policy"},
		{"83", "one with a device's user name", "", "no_matching_rule", "policy"},
		{"13", "a token for another project", "", "audience_mismatch", "token"},
	} {
		t.Run(tt.capture, func(t *testing.T) {
			token, err := json.Marshal(wire.CheckRequest{Token: tokens[tt.capture]})
			if err != nil || tokens[tt.capture] == "" {
				t.Fatal("no capture", err)
			}
			verified, reason := askUntilServed(t, nc, "auth.v1.token.check", token)
			var grant wire.Grant
			if reason == "" {
				request := []byte(`{"token":` + string(verified) + `,"client":{"host":"192.0.2.1","type":"nats"}}`)
				var reply []byte
				if reply, reason = askUntilServed(t, nc, "auth.v1.policy.decide", request); reason == "" {
					if err := json.Unmarshal(reply, &grant); err != nil {
						t.Fatal(err)
					}
				}
			}
			if reason != tt.reason || grant.Device != tt.device {
				t.Errorf("%s: device %q, reason %q; want %q, %q", tt.about, grant.Device, reason, tt.device, tt.reason)
			}
			if tt.device != "" && (len(grant.Publish.Allow) != 1 || grant.Publish.Allow[0] != "device-state."+tt.device) {
				t.Errorf("%s: may publish %q", tt.about, grant.Publish.Allow)
			}

			// An operator pastes the token: what explains it goes to policy as it is.
			judged, _ := askUntilServed(t, nc, "auth.v1.token.explain", token)
			reply, failed := askUntilServed(t, nc, "auth.v1.policy.explain", judged)
			var why struct {
				Checks  []struct{ Check, Result string }
				Refused string
				Error   *struct{ Reason string }
				Grant   *wire.Grant
			}
			if err := json.Unmarshal(reply, &why); err != nil || failed != "" {
				t.Fatal(failed, err)
			}
			if why.Refused != tt.refused || (why.Error == nil) != (tt.reason == "") || (why.Error != nil && why.Error.Reason != tt.reason) || len(why.Checks) == 0 {
				t.Errorf("%s: explained as %s", tt.about, reply)
			}
			if tt.device != "" && (why.Grant == nil || why.Grant.Device != tt.device) {
				t.Errorf("%s: explained as %s", tt.about, reply)
			}
			if strings.Contains(string(judged)+string(reply), tokens[tt.capture]) || strings.Contains(string(judged)+string(reply), tokens[tt.capture][strings.LastIndex(tokens[tt.capture], "."):]) {
				t.Error("an answer holds the token or its signature")
			}
		})
	}
}
