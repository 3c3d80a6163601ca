package natstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// Names that both topologies share.
const (
	// Devices is the account of devices and platform.
	Devices = "DEVICES"
	// Services is the account of the services in the hardened topology.
	Services = "AUTH"
	// PlatformUser bypasses the callout with PlatformPassword.
	PlatformUser     = "platform"
	PlatformPassword = "platform"
	// ServiceUser is what all three services use in the reference topology, with the password of the same name.
	ServiceUser = "auth"
	// AdminUser is in the hardened topology's system account, with the password of the same name.
	AdminUser = "admin"
)

// Topology is a set of accounts, users and keys, made for one test.
type Topology struct {
	Name     string
	Hardened bool
	Issuer   nkeys.KeyPair // account key that signs user JWTs and responses
	XKey     nkeys.KeyPair // the callout's curve key; nil unless requests are sealed
	// IssuerFile and XKeyFile hold the seeds; XKeyFile is empty unless requests are sealed.
	IssuerFile, XKeyFile config.Path

	passwordFile config.Path
	// users are the services' nkeys in the hardened topology.
	users map[string]serviceUser
}

type serviceUser struct {
	public   string
	seedFile config.Path
}

// Reference is the topology of DESIGN section 3: one account, passwords, no xkey.
func Reference(t testing.TB) *Topology {
	t.Helper()
	top := newTopology(t, "reference")
	top.passwordFile = secret(t, "auth.password", []byte(ServiceUser))
	return top
}

// Hardened has an account of its own for the services, an nkey user with the least permissions for each, KICK imported
// for the callout, and, if sealed, an xkey.
func Hardened(t testing.TB, sealed bool) *Topology {
	t.Helper()
	top := newTopology(t, "hardened")
	top.Hardened = true
	top.users = make(map[string]serviceUser)
	for _, service := range []string{wire.QueueCallout, wire.QueueTokencheck, wire.QueuePolicy} {
		user, err := nkeys.CreateUser()
		public, seed := public(t, user, err), seed(t, user)
		top.users[service] = serviceUser{public, secret(t, service+".nk", seed)}
	}
	if sealed {
		top.Name += "+xkey"
		var err error
		if top.XKey, err = nkeys.CreateCurveKeys(); err != nil {
			t.Fatal(err)
		}
		top.XKeyFile = secret(t, "callout.xk", seed(t, top.XKey))
	}
	return top
}

// Topologies returns all of them, for a table.
func Topologies(t testing.TB) []*Topology {
	t.Helper()
	return []*Topology{Reference(t), Hardened(t, false), Hardened(t, true)}
}

func newTopology(t testing.TB, name string) *Topology {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	public(t, issuer, err)
	return &Topology{Name: name, Issuer: issuer, IssuerFile: secret(t, "issuer.nk", seed(t, issuer))}
}

// Run starts a server of this topology. extra is further configuration text, for example a port.
func (top *Topology) Run(t testing.TB, extra ...string) *server.Server {
	t.Helper()
	return Run(t, top.Config(t)+strings.Join(extra, "\n"))
}

// NATS is how the named service (callout, tokencheck or policy) connects to s.
func (top *Topology) NATS(service string, s *server.Server) natsx.Config {
	c := natsx.Config{URLs: []string{s.ClientURL()}}
	if top.Hardened {
		c.NkeySeedFile = top.users[service].seedFile
	} else {
		c.User, c.PasswordFile = ServiceUser, top.passwordFile
	}
	c.SetDefaults()
	return c
}

// Config is the server's configuration, without a listen address.
func (top *Topology) Config(t testing.TB) string {
	t.Helper()
	issuer := public(t, top.Issuer, nil)
	if !top.Hardened {
		return fmt.Sprintf(`
jetstream: enabled
accounts { DEVICES: { jetstream: enabled, users: [ {user: auth, password: auth}, {user: platform, password: platform} ] } }
authorization { auth_callout { issuer: %s, auth_users: [auth, platform], account: DEVICES } }
`, issuer)
	}
	xkey := ""
	if top.XKey != nil {
		xkey = "xkey: " + public(t, top.XKey, nil) + ","
	}
	return fmt.Sprintf(`
jetstream: enabled
accounts {
  DEVICES: { jetstream: enabled, users: [ {user: platform, password: platform} ] }
  AUTH: {
    users: [
      { nkey: %s, permissions: %s }
      { nkey: %s, permissions: %s }
      { nkey: %s, permissions: %s }
    ]
    imports: [ {service: {account: SYS, subject: "$SYS.REQ.SERVER.*.KICK"}, to: "auth.kick.*"} ]
  }
  SYS: {
    users: [ {user: admin, password: admin} ]
    exports: [ {service: "$SYS.REQ.SERVER.*.KICK", accounts: [AUTH]} ]
  }
}
system_account: SYS
authorization { auth_callout { issuer: %s, %s account: AUTH, auth_users: [platform], allowed_accounts: [DEVICES] } }
`,
		top.users[wire.QueueCallout].public, CalloutPermissions,
		top.users[wire.QueueTokencheck].public, TokencheckPermissions,
		top.users[wire.QueuePolicy].public, PolicyPermissions,
		issuer, xkey)
}

// The least permissions that each service works with, with the default subject prefix. A side that is only used for
// replies denies everything: allow_responses is exempt from it, and an empty list would mean everything.
const (
	CalloutPermissions = `{
        publish: { allow: ["auth.v1.token.check", "auth.v1.policy.decide", "auth.v1.ready.tokencheck", "auth.v1.ready.policy", "auth.v1.decision.*", "auth.kick.*"] }
        subscribe: { allow: ["$SYS.REQ.USER.AUTH callout", "auth.v1.ready.callout", "auth.v1.decision.*", "$SYS.ACCOUNT.CLIENT.AUTH.ERR callout", "_AUTH_INBOX.callout.>", "$SRV.>"] }
        allow_responses: { max: 5, expires: "10s" } }`
	TokencheckPermissions = `{
        publish: { allow: ["auth.v1.policy.decide"] }
        subscribe: { allow: ["auth.v1.token.check tokencheck", "auth.v1.token.explain tokencheck", "auth.v1.ready.tokencheck", "$SRV.>"] }
        allow_responses: { max: 5, expires: "10s" } }`
	PolicyPermissions = `{
        publish: { deny: [">"] }
        subscribe: { allow: ["auth.v1.policy.decide policy", "auth.v1.policy.explain policy", "auth.v1.ready.policy", "$SRV.>"] }
        allow_responses: { max: 5, expires: "10s" } }`
)

func public(t testing.TB, kp nkeys.KeyPair, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	key, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func seed(t testing.TB, kp nkeys.KeyPair) []byte {
	t.Helper()
	s, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func secret(t testing.TB, name string, content []byte) config.Path {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Path(file)
}
