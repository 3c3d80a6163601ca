package provider

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/oauth2-proxy/mockoidc"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/scenario"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// rules go by sub: this provider's access tokens have no other claim of the user.
const rules = `variables:
  device_id: { from: [sub] }
rules:
  - name: device
    when: 'claims.sub.startsWith("sensor-")'
    account: DEVICES
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`

func start(t *testing.T) (*idp, *cluster.Cluster) {
	t.Helper()
	p := startProvider(t)
	return p, cluster.Start(t, cluster.Options{
		Shape: cluster.Reference(), Rules: rules,
		Issuers: fmt.Sprintf("  - issuer: %q\n    audiences: [%q]\n    algorithms: [RS256]\n    max_lifetime: 15m\n", p.Issuer(), p.ClientID),
	})
}

// refused has a token refused with a signed answer, and for this reason.
func refused(t *testing.T, c *cluster.Cluster, name, token string, want wire.Code) {
	t.Helper()
	nc, err := c.Dial(nats.Token(token), nats.Name(name), nats.MaxReconnects(0))
	if err == nil {
		nc.Close()
		t.Fatalf("%s: let in", name)
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("%s: %v, want an authorization error", name, err)
	}
	for _, r := range c.Decided(t, name) {
		if got := r.Text(logx.Reason); got != want.String() {
			t.Errorf("%s: refused for %s, want %s", name, got, want)
		}
	}
}

// TestReferenceFlow runs the scenarios of the reference flow with tokens of the provider.
func TestReferenceFlow(t *testing.T) {
	p, c := start(t)
	token := func(t testing.TB, device string) string { return p.login(t.(*testing.T), device).Access }
	for _, s := range scenario.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			s.Run(t, scenario.Site{URLs: c.URLs(), Platform: c.Platform(t), Token: token})
		})
	}
}

// TestRefused presents what the provider signs and is no access token for this system, and what it did not sign.
func TestRefused(t *testing.T) {
	p, c := start(t)
	good, other := p.login(t, "sensor-a"), p.login(t, "sensor-b")
	c.Connect(t, nats.Token(good.Access)).Close()
	part, otherPart := strings.Split(good.Access, "."), strings.Split(other.Access, ".")
	person := p.login(t, "person-a").Access
	p.change(func(m *mockoidc.MockOIDC) { m.ClientID = "another-client" })
	elsewhere := p.login(t, "sensor-a").Access
	for _, refusal := range []struct {
		name, token string
		want        wire.Code
	}{
		{"for another client", elsewhere, wire.AudienceMismatch},
		{"claims of another token", part[0] + "." + otherPart[1] + "." + part[2], wire.SignatureInvalid},
		{"no signature", part[0] + "." + part[1] + ".", wire.SignatureInvalid},
		{"ID token", good.ID, wire.TokenWrongKind},
		{"refresh token", good.Refresh, wire.TokenLifetimeTooLong},
		{"no device", person, wire.NoMatchingRule},
	} {
		refused(t, c, refusal.name, refusal.token, refusal.want)
	}
}

// TestRotation replaces the provider's one key: the first token of the new key is let in, those of the old one no longer are.
func TestRotation(t *testing.T) {
	p, c := start(t)
	old := p.login(t, "sensor-a").Access
	c.Connect(t, nats.Token(old)).Close()
	next, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	p.change(func(m *mockoidc.MockOIDC) { m.Keypair = next })
	c.Connect(t, nats.Token(p.login(t, "sensor-a").Access)).Close()
	// Until the keys may be fetched again there is no definite answer.
	cluster.Eventually(t, "the old key's token is refused", func() bool {
		nc, err := c.Dial(nats.Token(old), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
			t.Fatal("a token of a key that is gone was let in")
		}
		return c.Count(logx.Reason, wire.KeyUnknown.String()) > 0
	})
}
