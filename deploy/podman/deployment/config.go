package deployment

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
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
	if u, err := url.Parse(c.Issuer); c.Issuer == "" || err != nil || u.Host == "" || u.Scheme != "https" {
		r.Errorf("issuer", "%q is not an https URL; write the issuer as its discovery document has it, https://zitadel.example.com", c.Issuer)
	}
	if c.Project == "" {
		r.Errorf("project", "missing; it is the number on the project's page in Zitadel's console")
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

// LoadConfig reads deployment.yaml. With the development provider the file may be missing, and its issuer, project and
// claims are not used.
func LoadConfig(file string, development bool) (*Config, config.Problems, error) {
	cfg := &Config{}
	if development {
		cfg.Issuer, cfg.Project = developmentIssuer, developmentProject
		cfg.DeviceID = []string{"device_id"}
	}
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !development {
			return nil, nil, fmt.Errorf("%s is missing: copy deployment.example.yaml beside it to that name and edit it; or try it out with the development provider: make up DEV=1", file)
		}
		cfg.SetDefaults()
		return cfg, nil, nil
	}
	read := &Config{}
	warnings, err := config.Load(file, read)
	if err != nil {
		return nil, nil, err
	}
	if development {
		read.Issuer, read.Project, read.DeviceID, read.Role = cfg.Issuer, cfg.Project, cfg.DeviceID, defaultRole
		read.CAFile, read.ProbeKeyFile = "", ""
	}
	return read, warnings, nil
}
