package topology

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// The accounts of the hardened topology.
const (
	AccountDevices  = "DEVICES"
	AccountServices = "AUTH"
	AccountSystem   = "SYS"
	// PlatformUser is the platform's user name in AccountDevices.
	PlatformUser = "platform"
)

// ServerOptions are what differs between the servers of one deployment, and between deployments.
type ServerOptions struct {
	Name   string // server_name; required, unique in a cluster
	Listen string // host:port for clients; required
	// Monitor is host:port of the monitoring endpoint, which health checks read; empty is none. It answers anybody.
	Monitor string
	// StoreDir is where JetStream keeps its data; required.
	StoreDir string
	// MaxMemory and MaxFile bound JetStream, in the server's notation ("64MB"); empty is the server's own choice.
	MaxMemory, MaxFile string
	// AuthTimeout is how long a login may take; zero is 2 s, the server's own and the clients' default. A larger one
	// needs clients that wait as long (client_patience of the callout).
	AuthTimeout time.Duration
	// SubjectPrefix is the services' subject_prefix; empty is "auth".
	SubjectPrefix string
	TLS           *TLS
	// ClusterFile is the ClusterConfig that makes the server one of several, named relative to the directory of the rendered
	// file, as the server's include always is; empty for a single server.
	ClusterFile string
	// Note is the first line, a comment without its "# ": whose the file is. Empty says that the next rendering overwrites it.
	Note string
}

// TLS of the clients' connections: paths as the server sees them. Without it tokens cross the network in the clear.
type TLS struct{ CertFile, KeyFile string }

// Cluster is what makes several servers one.
type Cluster struct {
	Name     string
	Listen   string   // host:port for routes, the same on every server
	Routes   []string // host:port of every server
	Password string   // of the routes; letters and digits
	// NoAdvertise keeps the servers from telling clients each other's addresses: where clients reach them by others, as behind a
	// published port, those are dead ends that a reconnecting client tries all the same. Clients then need all addresses themselves.
	NoAdvertise bool
}

// ClusterConfig renders the file that ServerOptions.ClusterFile names. It holds the password of the routes.
func ClusterConfig(c Cluster) []byte {
	routes := make([]string, len(c.Routes))
	for i, r := range c.Routes {
		// A server takes the credentials for a route that it opens from the route's URL alone.
		routes[i] = fmt.Sprintf("    %q", "nats-route://route:"+c.Password+"@"+r)
	}
	return fmt.Appendf(nil, `# Rendered; the next rendering overwrites it. It holds a secret.
cluster {
  name: %q
  listen: %q
  authorization { user: route, password: %q }
  no_advertise: %t
  routes: [
%s
  ]
}
`, c.Name, c.Listen, c.Password, c.NoAdvertise, strings.Join(routes, "\n"))
}

// MaxControlLine fits a token of 16 KiB, the largest that the services take, and the rest of CONNECT; the server's own
// 4 KiB is less than a Zitadel token with metadata and roles may need.
const MaxControlLine = 20 << 10

func (o *ServerOptions) setDefaults() error {
	if o.Name == "" || o.Listen == "" || o.StoreDir == "" {
		return errors.New("server name, listen address and store directory are required")
	}
	if o.AuthTimeout == 0 {
		o.AuthTimeout = 2 * time.Second
	}
	if o.SubjectPrefix == "" {
		o.SubjectPrefix = "auth"
	}
	if o.Note == "" {
		o.Note = "Rendered; the next rendering overwrites it."
	}
	return nil
}

// ServerConfig renders nats-server.conf. It holds no secret. Without id.XKey the requests, and the tokens in them, are not
// sealed.
func ServerConfig(id Identities, o ServerOptions) (string, error) {
	if err := o.setDefaults(); err != nil {
		return "", err
	}
	var b strings.Builder
	err := serverConfig.Execute(&b, map[string]any{
		"ID": id, "Options": o, "Permissions": Permissions(o.SubjectPrefix, o.AuthTimeout), "MaxControlLine": MaxControlLine,
	})
	if err != nil {
		return "", err
	}
	return b.String(), nil
}

// Grant is what one service may do, in the notation of the server: "subject queue" permits a subscription in that queue
// group and no other.
type Grant struct {
	Publish, Subscribe []string
	// Replies permits answers to a message within this time; 0 permits none.
	Replies time.Duration
}

// ServicePermissions are the least that the three services, and an operator who looks at them, work with.
type ServicePermissions struct{ Callout, Tokencheck, Policy, Operator Grant }

// maxReplies on one reply subject. nats-server counts every answer and every further message that names the subject, and a request
// is sent up to three times.
const maxReplies = 5

// replies is the least time for an answer: the callout's own max_budget. nats-server keeps in mind for that long what was not
// answered, as a request that was handed on.
const replies = 10 * time.Second

// Permissions returns them for a subject prefix and the server's authorization.timeout.
func Permissions(prefix string, authTimeout time.Duration) ServicePermissions {
	replies := max(replies, authTimeout)
	check, decide, ready := prefix+".v1.token.check", prefix+".v1.policy.decide", prefix+".v1.ready."
	explainToken, explainPolicy := prefix+".v1.token.explain", prefix+".v1.policy.explain"
	return ServicePermissions{
		Callout: Grant{
			Publish: []string{check, decide, ready + "tokencheck", ready + "policy", prefix + ".v1.decision.*", prefix + ".kick.*"},
			Subscribe: []string{
				"$SYS.REQ.USER.AUTH callout", "$SYS.ACCOUNT.CLIENT.AUTH.ERR callout", ready + "callout", prefix + ".v1.decision.*",
				"_AUTH_INBOX.callout.>", "$SRV.>",
			},
			Replies: replies,
		},
		Tokencheck: Grant{
			Publish:   []string{decide},
			Subscribe: []string{check + " tokencheck", explainToken + " tokencheck", ready + "tokencheck", "$SRV.>"}, Replies: replies,
		},
		Policy: Grant{Subscribe: []string{decide + " policy", explainPolicy + " policy", ready + "policy", "$SRV.>"}, Replies: replies},
		Operator: Grant{
			Publish: append([]string{
				"$SRV.PING", "$SRV.PING.>", "$SRV.INFO", "$SRV.INFO.>", "$SRV.STATS", "$SRV.STATS.>", explainToken, explainPolicy, ready + "*",
			}, streamAPI(DecisionStream)...),
			Subscribe: []string{"_INBOX.>", prefix + ".v1.decision.*"},
		},
	}
}

// DecisionStream is the JetStream stream in AccountServices that may keep the decision records.
const DecisionStream = "AUTH_DECISIONS"

// streamAPI is what making, reading and removing one stream takes (ADR-1, ADR-37).
func streamAPI(stream string) []string {
	return []string{
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.*." + stream, "$JS.API.STREAM.MSG.GET." + stream, "$JS.API.DIRECT.GET." + stream, "$JS.API.DIRECT.GET." + stream + ".>",
		"$JS.API.CONSUMER.*." + stream, "$JS.API.CONSUMER.*." + stream + ".>", "$JS.API.CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.ACK." + stream + ".>", "$JS.FC." + stream + ".>",
	}
}

// text is the permissions block. An empty publish list would mean everything: it is written as a denial of everything,
// which replies are exempt from.
func (g Grant) text() string {
	publish := fmt.Sprintf("{ allow: %s }", list(g.Publish))
	if len(g.Publish) == 0 {
		publish = `{ deny: [">"] }`
	}
	text := fmt.Sprintf("publish: %s, subscribe: { allow: %s }", publish, list(g.Subscribe))
	if g.Replies > 0 {
		text += fmt.Sprintf(`, allow_responses: { max: %d, expires: %q }`, maxReplies, g.Replies)
	}
	return "{ " + text + " }"
}

func list(subjects []string) string {
	quoted := make([]string, len(subjects))
	for i, s := range subjects {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var serverConfig = template.Must(template.New("nats-server.conf").Funcs(template.FuncMap{
	"permissions": Grant.text,
	"seconds":     time.Duration.Seconds,
}).Parse(`# {{.Options.Note}} It holds public keys and a password's hash, no secret.
server_name: {{printf "%q" .Options.Name}}
listen: {{printf "%q" .Options.Listen}}
{{- with .Options.Monitor}}
http: {{printf "%q" .}}{{end}}
max_control_line: {{.MaxControlLine}}
{{- with .Options.TLS}}
tls { cert_file: {{printf "%q" .CertFile}}, key_file: {{printf "%q" .KeyFile}} }{{end}}

jetstream {
  store_dir: {{printf "%q" .Options.StoreDir}}
{{- with .Options.MaxMemory}}
  max_memory_store: {{.}}{{end}}
{{- with .Options.MaxFile}}
  max_file_store: {{.}}{{end}}
}

accounts {
  # Devices, which the callout admits, and the platform, which has a password.
  DEVICES {
    jetstream: enabled
    users: [ { user: platform, password: {{printf "%q" .ID.PlatformHash}} } ]
  }
  # The three services, each with what it needs and no more, and an operator who may look at them.
  AUTH {
    jetstream: enabled # for a stream of decision records; nothing is kept unless somebody makes one
    users: [
{{- $p := .Permissions}}
{{- range .ID.Callout}}
      { nkey: {{.}}, permissions: {{permissions $p.Callout}} }{{end}}
{{- range .ID.Tokencheck}}
      { nkey: {{.}}, permissions: {{permissions $p.Tokencheck}} }{{end}}
{{- range .ID.Policy}}
      { nkey: {{.}}, permissions: {{permissions $p.Policy}} }{{end}}
{{- range .ID.Operator}}
      { nkey: {{.}}, permissions: {{permissions $p.Operator}} }{{end}}
    ]
    # The right to close one connection, and nothing else of the system account.
    imports: [ { service: { account: SYS, subject: "$SYS.REQ.SERVER.*.KICK" }, to: "{{.Options.SubjectPrefix}}.kick.*" } ]
  }
  SYS {
    users: [ {{range .ID.Admin}}{ nkey: {{.}} } {{end}}]
    exports: [ { service: "$SYS.REQ.SERVER.*.KICK", accounts: [AUTH] } ]
  }
}
system_account: SYS

authorization {
  timeout: {{seconds .Options.AuthTimeout}}
  auth_callout {
    issuer: {{.ID.Issuer}}
    account: AUTH
{{- with .ID.XKey}}
    xkey: {{.}}{{end}}
    auth_users: [ platform ]
    # The callout decides about devices alone. Services and administrators log in by their own keys, whatever state it is in.
    allowed_accounts: [ DEVICES ]
  }
}
{{- with .Options.ClusterFile}}

include {{printf "%q" .}}{{end}}
`))
