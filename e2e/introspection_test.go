package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// idp is deploy/devidp as a process: a provider on zitadel/oidc, administrated by its own commands.
type idp struct {
	dir, address, project string
	process               *cluster.Process
}

func newIDP(t *testing.T, users ...string) *idp {
	t.Helper()
	p := &idp{dir: filepath.Join(t.TempDir(), "idp"), address: cluster.FreeAddress(t)}
	p.start(t, "-users", strings.Join(users, ","))
	raw, err := os.ReadFile(filepath.Join(p.dir, "endpoint.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoint struct{ Project string }
	if err := json.Unmarshal(raw, &endpoint); err != nil {
		t.Fatal(err)
	}
	p.project = endpoint.Project
	return p
}

func (p *idp) start(t *testing.T, arguments ...string) {
	t.Helper()
	arguments = append([]string{"serve", "-data", p.dir, "-listen", p.address}, arguments...)
	p.process = cluster.Run(t, exec.Command(cluster.Binary(t, "devidp"), arguments...))
	p.process.Wrote(t, "NEVER FOR PRODUCTION")
}

// do runs one of the provider's commands and returns what it prints.
func (p *idp) do(t *testing.T, command string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(cluster.Binary(t, "devidp"), append([]string{command, "-data", p.dir}, arguments...)...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("devidp %s: %v: %s", command, err, &problem)
	}
	return strings.TrimSpace(string(out))
}

func (p *idp) token(t *testing.T, user string) string {
	t.Helper()
	return p.do(t, "token", "-user", user)
}

// introspecting returns the issuer that a block of docs/tokens.md configures, with this provider in the place of the one there,
// and a short cache.
func (p *idp) introspecting(t *testing.T, with string, ttl time.Duration) string {
	t.Helper()
	for _, b := range markdown(t, "docs", "tokens.md")["Ask the provider: introspection"] {
		if !strings.Contains(b.text, with) {
			continue
		}
		text := strings.NewReplacer("https://zitadel.example.com", "http://"+p.address, "https://id.example.com", "http://"+p.address,
			shownProject, p.project, "[nats]", fmt.Sprintf("[%q]", p.project), "roles_claim: roles", fmt.Sprintf("roles_claim: %q", "urn:zitadel:iam:org:project:"+p.project+":roles"),
			"client_id: tokencheck", "client_id: api", "zitadel-api.json", filepath.Join(p.dir, "keys", "api.json"), "introspection.secret", filepath.Join(p.dir, "secrets", "api"),
		).Replace(b.text)
		return strings.TrimPrefix(text, "issuers:\n") + fmt.Sprintf("      cache_ttl: %s\n", ttl)
	}
	t.Fatalf("docs/tokens.md shows no introspection with %s", with)
	return ""
}

// TestIntrospection has a provider that is asked about every login: by the configurations that docs/tokens.md shows, about JWTs and
// about opaque tokens. A user that is deactivated is out when its answer is no longer believed; a provider that is down refuses nobody.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for _, tt := range []struct {
		with    string // what the block of the document has
		shape   cluster.Shape
		outcome string // of a login while the provider is down
	}{
		{"private_key_file", cluster.Sealed(), "hung_up"},
		{"client_secret_file", cluster.Reference(), "silent"},
	} {
		t.Run(tt.with+", "+tt.shape.Name, func(t *testing.T) {
			t.Parallel()
			p := newIDP(t, "sensor-a", "sensor-b")
			for _, opaque := range []string{"opaque-a", "opaque-b"} {
				p.do(t, "add-user", "-user", opaque, "-token-type", "bearer")
			}
			c := cluster.Start(t, cluster.Options{Shape: tt.shape, Settings: map[string]string{wire.QueueTokencheck: p.introspecting(t, tt.with, ttl)}})
			asked := func(result string) float64 {
				return c.Replicas(wire.QueueTokencheck)[0].Scrape(t).Sum("authcallout_introspections_total", "issuer", "http://"+p.address, "result", result)
			}
			attempts := 0
			// login is one attempt; the record says what became of it. A busy machine may let one go.
			login := func(token string) (cluster.Record, *nats.Conn) {
				attempts++
				name := fmt.Sprint("attempt-", attempts)
				nc, err := c.Dial(nats.Token(token), nats.Name(name), nats.MaxReconnects(0))
				record := c.Decided(t, name)[0]
				if denied := record.Text(logx.Outcome) == "denied"; denied && !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("denied, and the client sees %v", err)
				}
				return record, nc
			}
			admitted := func(token, device string) (connected *nats.Conn) {
				cluster.Eventually(t, device+" is admitted", func() bool {
					record, nc := login(token)
					if record.Text(logx.Outcome) == "denied" {
						t.Fatalf("%s: %v", device, record)
					}
					connected = nc
					return nc != nil && record.Text(logx.Device) == device
				})
				t.Cleanup(connected.Close)
				return connected
			}

			for _, user := range []string{"sensor-a", "opaque-a"} {
				token := p.token(t, user)
				if opaque := strings.Count(token, ".") != 2; opaque != strings.HasPrefix(user, "opaque") {
					t.Fatalf("%s: opaque %v", user, opaque)
				}
				connected := admitted(token, user)
				p.do(t, "deactivate", "-user", user)
				end := time.Now().Add(ttl)
				cluster.Eventually(t, user+" is denied", func() bool {
					late := time.Now().After(end)
					record, nc := login(token)
					if nc != nil {
						nc.Close()
						if late {
							t.Fatalf("%s was admitted more than %s after it was deactivated", user, ttl)
						}
						return false
					}
					if reason := record.Text(logx.Reason); record.Text(logx.Outcome) == "denied" && reason != "token_inactive" {
						t.Fatalf("%s: denied for %s", user, reason)
					}
					return record.Text(logx.Outcome) == "denied"
				})
				if !connected.IsConnected() {
					t.Errorf("%s: the session that it had is gone", user)
				}
				p.do(t, "reactivate", "-user", user)
				admitted(p.token(t, user), user)
				if record, nc := login(token); nc != nil {
					nc.Close()
					t.Errorf("%s: an old token is good again: %v", user, record)
				}
			}
			if active, inactive := asked("active"), asked("inactive"); active < 4 || inactive < 2 {
				t.Errorf("the provider was asked, and said active %v times, not active %v times", active, inactive)
			}

			users := []string{"sensor-b", "opaque-b"}
			tokens := map[string]string{}
			for _, user := range users {
				tokens[user] = p.token(t, user)
				admitted(tokens[user], user)
			}
			if err := p.process.Stop(); err != nil {
				t.Fatal(err)
			}
			denied := c.Count(logx.Outcome, "denied")
			time.Sleep(ttl) // what was believed before is not any more
			devices := map[string]*nats.Conn{}
			for _, user := range users {
				devices[user] = defaultClientWith(t, c, "outage-"+user, 2*time.Second, tokens[user])
			}
			for _, user := range users {
				cluster.Eventually(t, user+" tries during the outage", func() bool { return len(c.Named("outage-"+user)) >= 2 })
				for _, record := range c.Named("outage-" + user) {
					if record.Text(logx.Outcome) != tt.outcome {
						t.Errorf("during the outage: %v", record)
					}
				}
			}
			if c.Count(logx.Reason, wire.IntrospectionUnavailable.String()) == 0 {
				t.Error("no record says that introspection was not to be had")
			}
			if n := c.Count(logx.Outcome, "denied"); n != denied {
				t.Errorf("%d logins were denied during the outage", n-denied)
			}
			if asked("failed") == 0 {
				t.Error("no question failed: the provider was not down")
			}
			p.start(t)
			for _, user := range users {
				cluster.Eventually(t, user+" is back", func() bool {
					if devices[user].IsClosed() {
						t.Fatalf("%s is lost for good: %v", user, devices[user].LastError())
					}
					return devices[user].IsConnected()
				})
			}
		})
	}
}
