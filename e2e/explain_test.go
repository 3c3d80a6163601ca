package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// TestExplain asks as an operator why a token is good or not, with the bytes that the commands of docs/tokens.md send: tokencheck's
// whole answer is the question to policy. What is explained is what then happens to a device with that token.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, shape := range []cluster.Shape{cluster.Reference(), cluster.Sealed()} {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape})
			operator := c.Connect(t, c.Operator(t))
			ask := func(subject string, question []byte, answer any) []byte {
				m, err := operator.Request(subject, question, cluster.Patience)
				if err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
				if problem := m.Header.Get(wire.HeaderError); problem != "" {
					t.Fatalf("%s: %s", subject, problem)
				}
				if err := json.Unmarshal(m.Data, answer); err != nil {
					t.Fatalf("%s: %v: %s", subject, err, m.Data)
				}
				return m.Data
			}
			for i, tt := range []struct {
				name    string
				other   oidctest.Claims
				refused string // by whom; nobody when empty
				check   string // that fails
				reason  string
			}{
				{"good", nil, "", "", ""},
				{"another audience", oidctest.Claims{"aud": []string{"another"}}, "token", "aud", "audience_mismatch"},
				{"expired", oidctest.Claims{"iat": 1000, "nbf": 1000, "exp": 2000}, "token", "times", "token_expired"},
				{"without the role", oidctest.Claims{oidctest.RolesClaim: map[string]any{"guest": map[string]any{"1": "example.com"}}}, "policy", "", "no_matching_rule"},
			} {
				token := c.Issuer.Mint(t, "RS256", c.Claims("sensor-a", tt.other))
				question := []byte(fmt.Sprintf("{\"token\":%q}\n", token))
				var judged tokencheck.Explanation
				answer := ask("auth.v1.token.explain", question, &judged)
				var failed []string
				for _, check := range judged.Checks {
					if check.Result == "failed" {
						failed = append(failed, check.Check)
					}
				}
				if strings.Join(failed, " ") != tt.check || (judged.Verified != nil) != (tt.check == "") || (judged.Error != nil) != (tt.check != "") {
					t.Errorf("%s: checks %v failed, verified %v, error %v", tt.name, failed, judged.Verified, judged.Error)
				}
				if judged.Issuer != c.Issuer.URL || judged.KeyID == "" || judged.Algorithm != "RS256" || judged.KeySet == "" || len(judged.KnownKeys) == 0 {
					t.Errorf("%s: %s", tt.name, answer)
				}
				var decided struct {
					Refused string            `json:"refused"`
					Error   *wire.Error       `json:"error"`
					Grant   *wire.Grant       `json:"grant"`
					Checks  []json.RawMessage `json:"checks"`
					Publish map[string]struct {
						May bool `json:"may"`
					} `json:"publish"`
				}
				own, others := "device-state.sensor-a", "device-state.sensor-b"
				asking := strings.TrimSuffix(string(answer), "}") + fmt.Sprintf(",\"publish\":[%q,%q]}\n", own, others)
				last := ask("auth.v1.policy.explain", []byte(asking), &decided)
				if len(decided.Checks) != len(judged.Checks) || decided.Refused != tt.refused || (decided.Grant != nil) != (tt.refused == "") {
					t.Errorf("%s: %s", tt.name, last)
				}
				if decided.Grant != nil && (decided.Grant.Device != "sensor-a" || !decided.Publish[own].May || decided.Publish[others].May) {
					t.Errorf("%s: %s", tt.name, last)
				}
				if reason := ""; decided.Error != nil {
					if reason = decided.Error.Code.String(); reason != tt.reason {
						t.Errorf("%s: refused for %s, want %s", tt.name, reason, tt.reason)
					}
				} else if tt.reason != "" {
					t.Errorf("%s: %s", tt.name, last)
				}
				for _, part := range strings.Split(token, ".") {
					if strings.Contains(string(answer)+string(last), part) {
						t.Errorf("%s: a part of the token is in an answer", tt.name)
					}
				}
				name := fmt.Sprint("explained-", i)
				nc, err := c.Dial(nats.Token(token), nats.Name(name), nats.MaxReconnects(0))
				if err == nil {
					nc.Close()
				}
				if (err == nil) != (tt.refused == "") || c.Decided(t, name)[0].Text("reason") != tt.reason {
					t.Errorf("%s: the device sees %v: %v", tt.name, err, c.Named(name))
				}
			}
		})
	}
}
