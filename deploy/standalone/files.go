package standalone

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"harmony.internal/authcallout/deploy/topology"
)

// rendering makes one file's text. id is the zero value unless the server's configuration is made in the same run.
type rendering struct {
	name   string
	render func(dir string, id topology.Identities) (string, error)
}

// files are in the order in which a person reads them.
func (s Setup) files() []rendering {
	text := func(t string) func(string, topology.Identities) (string, error) {
		return func(string, topology.Identities) (string, error) { return t, nil }
	}
	return []rendering{
		{ServerFile, s.serverConfig},
		{CalloutFile, text(s.calloutConfig())},
		{TokencheckFile, text(s.tokencheckConfig())},
		{PolicyFile, text(s.policyConfig())},
		{RulesFile, text(s.rules())},
	}
}

func (s Setup) serverConfig(dir string, id topology.Identities) (string, error) {
	return topology.ServerConfig(id, topology.ServerOptions{
		Name:     Name,
		Listen:   s.Listen,
		StoreDir: filepath.Join(dir, StoreDir),
		// An edge box has other things to do as well.
		MaxMemory: "256MB", MaxFile: "4GB",
		Note: "Made at the first start and yours from then on; an ordinary nats-server takes it too. SIGHUP reads it again, except auth_callout; devices then reconnect once.",
	})
}

// nats is the part that all services share. Inside the process the connection is in memory and the URL is not used; with
// it the same file serves a process of its own beside this one.
func (s Setup) nats(service string) string {
	return fmt.Sprintf("nats:\n  urls: [%s] # for a process of its own; in one process the connection is in memory\n  nkey_seed_file: %s/%s.nk\n"+
		"# monitor: { listen: 127.0.0.1:%d } # /metrics for Prometheus, /healthz and /readyz\n",
		strconv.Quote("nats://"+s.reach()), KeysDir, service, monitorPorts[service])
}

// monitorPorts are what a person is offered; one for each, because all three may listen in one process.
var monitorPorts = map[string]int{"callout": 9141, "tokencheck": 9142, "policy": 9143}

// reach is where this machine reaches Listen.
func (s Setup) reach() string {
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return DefaultListen
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if port == "-1" {
		port = "4222"
	}
	return net.JoinHostPort(host, port)
}

func (s Setup) calloutConfig() string {
	return "# Answers the server's question who a connection is, and signs the answer.\n" + s.nats("callout") + fmt.Sprintf(`issuer_seed_file: %[1]s/issuer.nk
xkey_seed_file: %[1]s/callout.xk
account: %[2]s
client_patience: 2s
`, KeysDir, topology.AccountDevices)
}

func (s Setup) tokencheckConfig() string {
	return "# Whose tokens are good.\n" + s.nats("tokencheck") + fmt.Sprintf(`last_good_directory: provider-keys # so that a restart while the provider is down still admits
issuers:
  - issuer: %q
    audiences: [%q]
    algorithms: [RS256, ES256, EdDSA]
    profile: zitadel
    roles_claim: %q
`, s.Issuer, s.Project, "urn:zitadel:iam:org:project:"+s.Project+":roles")
}

func (s Setup) policyConfig() string {
	return "# Applies the rules.\n" + s.nats("policy") + fmt.Sprintf("policy_file: %s\n", RulesFile)
}

func (s Setup) rules() string {
	return fmt.Sprintf(`# Who may do what. A change takes effect when the file is saved; a broken one leaves the rules before it in force.
variables:
  device_id: { from: [%q] }
rules:
  - name: device
    when: '%q in roles'
    account: %s
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`, s.DeviceClaim, s.Role, topology.AccountDevices)
}
