package monitor

import (
	"net"
	"strconv"
	"strings"

	"harmony.internal/authcallout/shared/config"
)

// Config is the monitor part of a service's configuration.
type Config struct {
	// Listen is HOST:PORT for /metrics, /healthz and /readyz, for example 127.0.0.1:9141. It answers everybody who can reach
	// it and shows issuers, reasons and hashes, never a token: choose loopback or a network for monitoring alone. A port of its
	// own for every process on a host; 0 is any free one. Empty: nothing listens, and the healthcheck subcommand has nothing
	// to ask.
	Listen string `yaml:"listen"`
}

// Check reports what is wrong, below key ("monitor").
func (c Config) Check(key string, r *config.Report) {
	if c.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		r.Errorf(key+".listen", "%q is not HOST:PORT, for example 127.0.0.1:9141", c.Listen)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		r.Errorf(key+".listen", "%q is not a port", port)
	}
	if strings.ContainsAny(host, "/@ ") {
		r.Errorf(key+".listen", "%q is not a host", host)
	}
}

// reach is where this host reaches listen.
func reach(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
