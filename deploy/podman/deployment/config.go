package deployment

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"time"

	"harmony.internal/authcallout/shared/config"
)

// Config is deployment.yaml: what somebody who runs this says about their own world.
type Config struct {
	// Issuer is the identity provider, exactly as its discovery document names it. Required, unless the development
	// provider is run.
	Issuer string `yaml:"issuer"`
	// Project is the id of the Zitadel project: it must be in a token's audience. Required with issuer.
	Project string `yaml:"project"`
	// Role is the role in the project that lets a device in. Default device.
	Role string `yaml:"role"`
	// DeviceID are the claims that name a device; the first that a token has is taken. Default sub, which nobody can
	// change. Do not name client_id or metadata: a machine user can change its own.
	DeviceID []string `yaml:"device_id"`
	// CAFile holds the certificates, PEM, that the provider's is signed by, when it is a private one. Default: the public ones.
	CAFile config.Path `yaml:"ca_file"`
	// Listen is the address on the host that devices connect to. Default 127.0.0.1:4222, this machine alone. Open it to others
	// with tls only: a token is all that a device has, and without TLS anybody on the way can take it. A cluster's other servers
	// get the two ports after it.
	Listen string `yaml:"listen"`
	// TLS is the certificate that devices see.
	TLS TLS `yaml:"tls"`
	// ClientPatience is the connect timeout of the part of the fleet that gives up first; the servers wait as long. Whole
	// seconds. Default 2s, that of a default client.
	ClientPatience time.Duration `yaml:"client_patience"`
	// ProbeKeyFile is the machine key of a user with the role, with which `make up` logs in to see that everything works.
	// Default: none; then it sees only that a wrong token is refused.
	ProbeKeyFile config.Path `yaml:"probe_key_file"`

	// development says that the development provider is run: what is said of another is neither looked at nor used.
	development bool
}

const (
	defaultListen = "127.0.0.1:4222"
	defaultRole   = "device"
)

// SetDefaults fills what the file left out.
func (c *Config) SetDefaults() {
	if c.Role == "" {
		c.Role = defaultRole
	}
	if len(c.DeviceID) == 0 {
		c.DeviceID = []string{"sub"}
	}
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.ClientPatience == 0 {
		c.ClientPatience = 2 * time.Second
	}
}

// Check reports what is wrong.
func (c *Config) Check(r *config.Report) {
	if !c.development {
		c.checkProvider(r)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil {
		r.Errorf("listen", "%q is not ADDRESS:PORT; 0.0.0.0 is every address", c.Listen)
	} else if !ip.IsLoopback() && c.TLS == (TLS{}) {
		r.Warnf("listen", "others can reach %s and there is no tls: anybody on the way can read a device's token", c.Listen)
	}
	c.TLS.check(r)
	if c.ClientPatience < time.Second || c.ClientPatience > time.Minute || c.ClientPatience%time.Second != 0 {
		r.Errorf("client_patience", "%v: whole seconds, from 1s to 1m", c.ClientPatience)
	}
}

// roleName is what can stand in a rule's condition as it is.
var roleName = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,200}$`)

// checkProvider reports what is wrong with what is said of the provider and its tokens.
func (c *Config) checkProvider(r *config.Report) {
	if u, err := url.Parse(c.Issuer); c.Issuer == "" || err != nil || u.Host == "" || u.Scheme != "https" {
		r.Errorf("issuer", "%q is not an https URL; write the issuer as its discovery document has it, https://zitadel.example.com", c.Issuer)
	}
	if c.Project == "" {
		r.Errorf("project", "missing; it is the number on the project's page in Zitadel's console")
	}
	if !roleName.MatchString(c.Role) {
		r.Errorf("role", "%q: letters, digits and . _ : / - are possible", c.Role)
	}
	for _, path := range []struct {
		key  string
		file config.Path
	}{{"ca_file", c.CAFile}, {"probe_key_file", c.ProbeKeyFile}} {
		if path.file == "" {
			continue
		}
		if _, err := os.Stat(string(path.file)); err != nil {
			r.Errorf(path.key, "%v", err)
		}
	}
}

// developmentIssuer is the provider of compose.dev.yaml, by its name in the containers' network.
const developmentIssuer = "http://devidp:18080"

// LoadConfig reads deployment.yaml. With the development provider the file may be missing, and what it says of a provider and
// its tokens is not used.
func LoadConfig(file string, development bool) (*Config, config.Problems, error) {
	c := &Config{development: development}
	var warnings config.Problems
	_, err := os.Stat(file)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		if warnings, err = config.Load(file, c); err != nil {
			return nil, nil, err
		}
	case development:
		c.SetDefaults()
	default:
		return nil, nil, fmt.Errorf("%s is missing: copy deployment.example.yaml beside it to that name and edit it; or try it out with the development provider: make up DEV=1", file)
	}
	if development {
		c.Issuer, c.Project, c.DeviceID, c.Role = developmentIssuer, developmentProject, []string{"device_id"}, defaultRole
		c.CAFile, c.ProbeKeyFile = "", ""
	}
	return c, warnings, nil
}
