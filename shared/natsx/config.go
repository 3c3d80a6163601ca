package natsx

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// Config is the nats part of every service's configuration.
type Config struct {
	// URLs of the servers of one cluster, nats://host:port or tls://host:port; any of them is enough to find the others.
	// No user names and passwords in it: they would be in every log of it. Default: nats://127.0.0.1:4222.
	URLs []string `yaml:"urls"`
	// User is the name for password_file. One way of authentication at most: user with password_file, nkey_seed_file, or
	// creds_file. All files are read again at every connect, so that a secret can be replaced under a running process.
	User string `yaml:"user"`
	// PasswordFile holds the password of user.
	PasswordFile config.Path `yaml:"password_file"`
	// NkeySeedFile holds the seed of a user nkey (SU...). Another key in the file takes effect when the process restarts.
	NkeySeedFile config.Path `yaml:"nkey_seed_file"`
	// CredsFile is a .creds file, for a server in operator mode.
	CredsFile config.Path `yaml:"creds_file"`
	// TLS is used when a URL or the server says so, or something is set here.
	TLS TLS `yaml:"tls"`
	// SubjectPrefix is the first token of every internal subject: letters, digits, "_" and "-". Set it when two of these
	// systems share one account. The same in all three services. Default: auth.
	SubjectPrefix string `yaml:"subject_prefix"`
}

// TLS of the connection to NATS. The zero value uses TLS when the URL or the server says so, with the system's roots; with any
// member set a server without TLS is refused.
type TLS struct {
	// CAFile holds the certificates, PEM, that may sign the server's. Default: the system's.
	CAFile config.Path `yaml:"ca_file"`
	// CertFile is this client's certificate, PEM, for a server that asks for one. With key_file or not at all.
	CertFile config.Path `yaml:"cert_file"`
	// KeyFile is the key of cert_file, PEM.
	KeyFile config.Path `yaml:"key_file"`
	// ServerName is the name that the server's certificate must be for, where that is not the host in the URL. Default: that
	// host.
	ServerName string `yaml:"server_name"`
}

// DefaultURL is where a configuration without urls connects to.
const DefaultURL = "nats://127.0.0.1:4222"

// SetDefaults fills what the file left out.
func (c *Config) SetDefaults() {
	if len(c.URLs) == 0 {
		c.URLs = []string{DefaultURL}
	}
	if c.SubjectPrefix == "" {
		c.SubjectPrefix = wire.DefaultPrefix
	}
}

// Check reports what is wrong, below key ("nats").
func (c *Config) Check(key string, r *config.Report) {
	for i, u := range c.URLs {
		if problem := checkURL(u); problem != "" {
			r.Errorf(fmt.Sprintf("%s.urls[%d]", key, i), "%s", problem)
		}
	}
	if _, err := wire.NewSubjects(c.SubjectPrefix); err != nil {
		r.Errorf(key+".subject_prefix", "%v", err)
	}
	c.checkCredentials(key, r)
	c.TLS.check(key+".tls", r)
}

// checkURL returns what is wrong with a server's URL, "" when nothing is. It never repeats user info.
func checkURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return "not a URL of a server; write nats://host:port or tls://host:port"
	case u.User != nil:
		return "holds a user name or password; name them with user and password_file"
	case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Sprintf("scheme %q is unknown; write nats://host:port or tls://host:port", u.Scheme)
	}
	return ""
}

func (c *Config) checkCredentials(key string, r *config.Report) {
	var ways []string
	if c.User != "" || c.PasswordFile != "" {
		ways = append(ways, "user")
	}
	if c.NkeySeedFile != "" {
		ways = append(ways, "nkey_seed_file")
	}
	if c.CredsFile != "" {
		ways = append(ways, "creds_file")
	}
	if len(ways) > 1 {
		r.Errorf(key, "%s are set together; choose one way of authentication", strings.Join(ways, " and "))
	}
	if (c.User == "") != (c.PasswordFile == "") {
		r.Errorf(key+".user", "user and password_file belong together; one of them is missing")
	}
	checkFile(key+".password_file", c.PasswordFile, r)
	checkFile(key+".nkey_seed_file", c.NkeySeedFile, r)
	checkFile(key+".creds_file", c.CredsFile, r)
	if len(ways) == 0 {
		r.Warnf(key, "no credentials: the server must let this process in without any")
	}
}

// checkFile reports a file that cannot be read as a secret; "" is no file.
func checkFile(key string, path config.Path, r *config.Report) {
	if path == "" {
		return
	}
	if _, err := config.ReadSecret(path); err != nil {
		r.Errorf(key, "%v", err)
	}
}

func (t *TLS) check(key string, r *config.Report) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		r.Errorf(key+".cert_file", "cert_file and key_file belong together; one of them is missing")
	}
	if t.CAFile != "" {
		// Longer than a secret may be when it holds a whole system's roots.
		if err := nats.RootCAs(string(t.CAFile))(&nats.Options{}); err != nil {
			r.Errorf(key+".ca_file", "%v", err)
		}
	}
	checkFile(key+".cert_file", t.CertFile, r)
	checkFile(key+".key_file", t.KeyFile, r)
}
