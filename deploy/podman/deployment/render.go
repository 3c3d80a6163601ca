package deployment

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"harmony.internal/authcallout/deploy/topology"
)

// The three services, which are also the names of their directories, images and configuration files.
const (
	callout    = "callout"
	tokencheck = "tokencheck"
	policy     = "policy"
)

const (
	serverConfigFile  = "nats-server.conf"
	clusterConfigFile = "cluster.conf"
	rulesFile         = "rules.yaml"
	// providerKeys holds a directory for each replica of tokencheck, the only one that a service may write to.
	providerKeys = "provider-keys"
)

// Rendered is what the compose file needs to know of a rendering.
type Rendered struct {
	// Hash of everything that a container reads at its start; it is restarted when the hash is another. The rules are
	// not in it: policy watches them.
	Hash    map[string]string // by nats, callout, tokencheck, policy
	Listen  []string          // on the host, one for each server
	Created []string          // secrets that were made
	// Certificate is what the servers show; nil without TLS.
	Certificate *Certificate
}

// render writes every configuration file. extra are keys that the servers accept besides those on disk, during a rotation.
func (s State) render(c *Config, m Modes, extra topology.Identities) (*Rendered, error) {
	id, created, err := topology.Ensure(s.Files())
	if err != nil {
		return nil, err
	}
	id.Callout = append(id.Callout, extra.Callout...)
	id.Tokencheck = append(id.Tokencheck, extra.Tokencheck...)
	id.Policy = append(id.Policy, extra.Policy...)
	r := &Rendered{Created: created, Hash: map[string]string{}}
	if r.Listen, err = listenAddresses(c.Listen, len(m.servers())); err != nil {
		return nil, err
	}
	if r.Certificate, err = c.TLS.certificate(); err != nil {
		return nil, err
	}
	if err := s.renderServers(c, m, id); err != nil {
		return nil, err
	}
	if err := s.renderServices(c, m, r.Certificate); err != nil {
		return nil, err
	}
	dirs := append([]string{callout, tokencheck, policy}, m.servers()...)
	if m.Development {
		if err := os.MkdirAll(s.in("devidp"), 0o700); err != nil {
			return nil, err
		}
		dirs = append(dirs, "devidp")
	}
	for _, name := range m.services() {
		if image(name) == tokencheck { // its own, because whoever can write there can admit anybody
			if err := os.MkdirAll(s.in(providerKeys, name), 0o700); err != nil {
				return nil, err
			}
		}
	}
	dirs = append(dirs, providerKeys)
	if err := s.hand(dirs...); err != nil {
		return nil, err
	}
	for name, dir := range map[string]string{"nats": "nats-1", callout: callout, tokencheck: tokencheck, policy: policy} {
		if r.Hash[name], err = hashDir(s.in(dir)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// listenAddresses are the ports from the first on.
func listenAddresses(first string, n int) ([]string, error) {
	host, port, err := net.SplitHostPort(first)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil || number < 1 || number+n-1 > 65535 {
		return nil, fmt.Errorf("listen: %q is not a port with %d free ones after it", port, n-1)
	}
	all := make([]string, n)
	for i := range all {
		all[i] = net.JoinHostPort(host, strconv.Itoa(number+i))
	}
	return all, nil
}

func (s State) renderServers(c *Config, m Modes, id topology.Identities) error {
	var routes []string
	for _, name := range m.servers() {
		routes = append(routes, name+":6222")
	}
	for _, name := range m.servers() {
		options := topology.ServerOptions{
			Name: name, Listen: "0.0.0.0:4222", Monitor: "127.0.0.1:8222", StoreDir: "/data",
			MaxMemory: "256MB", MaxFile: "4GB", AuthTimeout: c.ClientPatience,
		}
		if c.TLS.CertFile != "" {
			options.TLS = &topology.TLS{CertFile: "/etc/authcallout/tls.crt", KeyFile: "/etc/authcallout/tls.key"}
			if err := errors.Join(copySecret(string(c.TLS.CertFile), s.in(name, "tls.crt")), copySecret(string(c.TLS.KeyFile), s.in(name, "tls.key"))); err != nil {
				return err
			}
		}
		if m.Cluster {
			options.ClusterFile = clusterConfigFile
			password, err := s.routePassword()
			if err != nil {
				return err
			}
			text := topology.ClusterConfig(topology.Cluster{
				Name: "authcallout", Listen: "0.0.0.0:6222", Routes: routes, Password: password,
				NoAdvertise: true, // they know their addresses in the containers' networks alone, which change at each start
			})
			if err := topology.WriteSecret(s.in(name, clusterConfigFile), text); err != nil {
				return err
			}
		}
		text, err := topology.ServerConfig(id, options)
		if err != nil {
			return err
		}
		if err := topology.WriteSecret(s.in(name, serverConfigFile), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func (s State) routePassword() (string, error) {
	path := s.in("admin", "route.password")
	raw, err := os.ReadFile(path) //nolint:gosec // below the state directory
	if errors.Is(err, fs.ErrNotExist) {
		raw = []byte(rand.Text() + rand.Text())
		err = topology.WriteSecret(path, raw)
	}
	return strings.TrimSpace(string(raw)), err
}

func copySecret(from, to string) error {
	raw, err := os.ReadFile(from) //nolint:gosec // the operator named it
	if err != nil {
		return err
	}
	return topology.WriteSecret(to, raw)
}

func (s State) renderServices(c *Config, m Modes, certificate *Certificate) error {
	scheme := "nats"
	if certificate != nil {
		scheme = "tls"
	}
	var urls []string
	for _, name := range m.servers() {
		urls = append(urls, strconv.Quote(scheme+"://"+name+":4222"))
	}
	values := map[string]any{
		"URLs": "[" + strings.Join(urls, ", ") + "]", "Config": c, "Development": m.Development, "Certificate": certificate,
	}
	for _, t := range serviceConfigs {
		var b strings.Builder
		if err := t.Execute(&b, values); err != nil {
			return err
		}
		path := s.in(strings.TrimSuffix(t.Name(), ".yaml"), t.Name())
		if t.Name() == rulesFile {
			path = s.in(policy, rulesFile)
			if _, err := os.Stat(path); err == nil {
				continue // the operator's own from the first time on
			}
		}
		if err := topology.WriteSecret(path, []byte(b.String())); err != nil {
			return err
		}
	}
	if certificate != nil { // the services check the server's certificate by the one file they have of it
		for _, name := range []string{callout, tokencheck, policy} {
			if err := copySecret(string(c.TLS.CertFile), s.in(name, "nats.crt")); err != nil {
				return err
			}
		}
	}
	if c.CAFile != "" {
		return copySecret(string(c.CAFile), s.in(tokencheck, "provider-ca.crt"))
	}
	return nil
}

func hashDir(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, e := range entries { // in the order of their names
		if e.IsDir() || slices.Contains([]string{rulesFile}, e.Name()) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name())) //nolint:gosec // below the state directory
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", e.Name(), len(raw))
		_, _ = h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func parse(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"claims": func(names []string) string {
			quoted := make([]string, len(names))
			for i, n := range names {
				quoted[i] = strconv.Quote(n)
			}
			return "[" + strings.Join(quoted, ", ") + "]"
		},
	}).Parse(text))
}

const natsSection = `nats:
  urls: {{.URLs}}
  nkey_seed_file: %s.nk
{{- with .Certificate}}
  tls: { ca_file: nats.crt, server_name: {{printf "%%q" .Name}} }{{end}}
log: { format: json }
`

const rendered = "# Rendered from deployment.yaml by `make up`, which overwrites it.\nmonitor: { listen: \"0.0.0.0:9141\" } # on the containers' network alone\n"

var serviceConfigs = []*template.Template{
	parse("callout.yaml", rendered+fmt.Sprintf(natsSection, callout)+`
issuer_seed_file: issuer.nk
xkey_seed_file: callout.xk
account: DEVICES
client_patience: {{.Config.ClientPatience}}
verify_servers: true # by the right to close connections, which the server's configuration gives
`),
	parse("tokencheck.yaml", rendered+fmt.Sprintf(natsSection, tokencheck)+`
last_good_directory: /var/lib/authcallout # so that a restart while the provider is down still admits
issuers:
  - issuer: {{printf "%q" .Config.Issuer}}
    audiences: [{{printf "%q" .Config.Project}}]
    algorithms: [RS256, RS384, RS512, ES256, ES384, ES512, EdDSA]
    profile: zitadel
    roles_claim: {{printf "%q" (print "urn:zitadel:iam:org:project:" .Config.Project ":roles")}}
{{- if .Config.CAFile}}
    ca_file: provider-ca.crt{{end}}
{{- if .Development}}
    insecure_http: true # the development provider speaks plain http inside the containers' network{{end}}
`),
	parse("policy.yaml", rendered+fmt.Sprintf(natsSection, policy)+`
policy_file: rules.yaml
`),
	parse(rulesFile, `# Who may do what. Yours to edit: a change takes effect within seconds and is refused whole when something is wrong with it.
variables:
  device_id: { from: {{claims .Config.DeviceID}} }
rules:
  - name: device
    when: '{{printf "%q" .Config.Role}} in roles'
    account: DEVICES
    publish:   { allow: ["device-state.{device_id}", "_INBOX.>"] }
    subscribe: { allow: ["device-commands.{device_id}", "_INBOX.>"] }
`),
}
