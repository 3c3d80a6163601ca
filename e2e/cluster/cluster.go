package cluster

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Patience bounds every wait of a test that must end well. A test machine may be busy.
const Patience = 60 * time.Second

// Services are the names of the three.
func Services() []string { return []string{wire.QueueTokencheck, wire.QueuePolicy, wire.QueueCallout} }

// Options are what a test asks for. The zero value of everything but Shape is one replica of each service in the test's
// process, with the rules of the reference flow.
type Options struct {
	Shape Shape
	// Processes runs the services as processes, built from cmd/.
	Processes bool
	// ServerProcesses runs the servers as processes, for tests that stop them under load.
	ServerProcesses bool
	// Replicas of each service; 0 is 1.
	Replicas int
	// Issuer is used in place of a new one.
	Issuer *oidctest.Issuer
	// Issuers is the YAML list that tokencheck trusts, for a test with a provider of its own: Cluster.Issuer is then nil
	// unless Issuer is given. Empty trusts Issuer alone.
	Issuers string
	// Rules is rules.yaml; empty is the reference flow's.
	Rules string
	// Server is appended to every server's configuration.
	Server string
	// Settings is YAML that is appended to a service's configuration, by service.
	Settings map[string]string
	// Elsewhere runs the one server of the reference shape outside the test's process; nil runs the shape's in it.
	Elsewhere *Elsewhere
	// Reach returns where a replica finds the servers, nil for the servers themselves.
	Reach func(service string, replica int, urls []string) []string
	// Trace returns the tracer of a service, for replicas in the test's process; nil is off.
	Trace func(service string) *trace.Tracer
	// Environment is added to that of every process.
	Environment []string
	// Clock returns a replica's clock, nil for the system's. For replicas in the test's process only; policy has none.
	Clock func(service string, replica int) func() time.Time
}

// Cluster is a running system. It ends with the test.
type Cluster struct {
	Shape   Shape
	Issuer  *oidctest.Issuer
	Servers []*Server

	options  Options
	dir      string
	keys     topology.Files
	replicas map[string][]*Replica
}

// Start returns when every replica serves.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Issuer == nil && o.Issuers == "" {
		o.Issuer = oidctest.New(t)
	}
	if o.Rules == "" {
		o.Rules = ReferenceRules
	}
	dir := t.TempDir()
	c := &Cluster{
		Shape: o.Shape, Issuer: o.Issuer, options: o, dir: dir,
		keys: topology.FlatFiles(filepath.Join(dir, "keys")), replicas: map[string][]*Replica{},
	}
	id, _, err := topology.Ensure(c.keys)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Shape.Sealed {
		id.XKey = ""
	}
	c.startServers(t, id)
	c.write(t, "auth.password", referenceServiceUser)
	c.write(t, "rules.yaml", o.Rules)
	for _, service := range Services() {
		for n := range o.Replicas {
			c.replicas[service] = append(c.replicas[service], c.startReplica(t, service, n))
		}
	}
	c.WaitServing(t)
	return c
}

func (c *Cluster) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// URLs are the addresses of the servers.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return urls
}

// Replicas returns the replicas of a service.
func (c *Cluster) Replicas(service string) []*Replica { return c.replicas[service] }

// Platform returns how the platform logs in.
func (c *Cluster) Platform(t testing.TB) nats.Option {
	t.Helper()
	if !c.Shape.Hardened {
		return nats.UserInfo(topology.PlatformUser, topology.PlatformUser)
	}
	password, err := os.ReadFile(c.keys.Platform)
	if err != nil {
		t.Fatal(err)
	}
	return nats.UserInfo(topology.PlatformUser, string(password))
}

// Operator returns how somebody logs in who looks at the services.
func (c *Cluster) Operator(t testing.TB) nats.Option {
	t.Helper()
	if !c.Shape.Hardened {
		return nats.UserInfo(referenceServiceUser, referenceServiceUser)
	}
	return c.Seed(t, "operator")
}

// Seed returns how the holder of a key logs in: callout, tokencheck, policy, operator or admin, in the hardened topology.
func (c *Cluster) Seed(t testing.TB, who string) nats.Option {
	t.Helper()
	option, err := nats.NkeyOptionFromSeed(c.seedFile(who))
	if err != nil {
		t.Fatal(err)
	}
	return option
}

func (c *Cluster) seedFile(who string) string {
	return map[string]string{
		wire.QueueCallout: c.keys.Callout, wire.QueueTokencheck: c.keys.Tokencheck, wire.QueuePolicy: c.keys.Policy,
		"operator": c.keys.Operator, "admin": c.keys.Admin,
	}[who]
}

// IssuerFile is the seed file of the issuer, XKeyFile that of the xkey: every callout has them.
func (c *Cluster) IssuerFile() string { return c.keys.Issuer }

// XKeyFile is there in every shape, and used in the sealed ones.
func (c *Cluster) XKeyFile() string { return c.keys.XKey }

// Token mints a good token for a device.
func (c *Cluster) Token(t testing.TB, device string) string {
	t.Helper()
	return c.Issuer.Token(t, device)
}

// Claims are those of Token, for tests that change some.
func (c *Cluster) Claims(device string, other oidctest.Claims) oidctest.Claims {
	claims := maps.Clone(c.Issuer.AccessToken(device))
	return claims.With(other)
}

// Eventually polls until ok holds, and fails the test, saying what, when it does not.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", Patience, what)
		}
	}
}

// ReferenceRules are those of the reference flow.
const ReferenceRules = `variables:
  device_id: { from: [device_id] }
rules:
  - name: device
    when: '"device" in roles'
    account: DEVICES
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`

// configuration is the YAML of a replica.
func (c *Cluster) configuration(service string, replica int) string {
	urls := c.URLs()
	if c.options.Reach != nil {
		urls = c.options.Reach(service, replica, urls)
	}
	text := fmt.Sprintf("log: { format: json, level: debug }\nmonitor: { listen: 127.0.0.1:0 }\nnats:\n  urls: %s\n", list(urls))
	if c.Shape.Hardened {
		text += fmt.Sprintf("  nkey_seed_file: %s\n", c.seedFile(service))
	} else {
		text += fmt.Sprintf("  user: %s\n  password_file: auth.password\n", referenceServiceUser)
	}
	switch service {
	case wire.QueueCallout:
		text += fmt.Sprintf("issuer_seed_file: %s\naccount: %s\n", c.keys.Issuer, topology.AccountDevices)
		if c.Shape.Sealed {
			text += fmt.Sprintf("xkey_seed_file: %s\n", c.keys.XKey)
		}
	case wire.QueueTokencheck:
		if c.options.Issuers != "" {
			text += "issuers:\n" + c.options.Issuers
			break
		}
		text += fmt.Sprintf("issuers:\n  - issuer: %q\n    audiences: [%q]\n    algorithms: [RS256, ES256, EdDSA]\n    profile: zitadel\n    roles_claim: %q\n",
			c.Issuer.URL, oidctest.Project, oidctest.RolesClaim)
	case wire.QueuePolicy:
		text += "policy_file: rules.yaml\n"
	}
	return text + c.options.Settings[service]
}
