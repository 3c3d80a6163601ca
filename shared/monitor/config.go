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
	// Profiles adds Go's profiles below /debug/pprof/, for "go tool pprof http://HOST:PORT/debug/pprof/profile". Whoever can reach
	// them can slow the process down, and a dump of memory holds tokens and keys: loopback only, and only while somebody looks.
	// Needs listen on a loopback address. Default false.
	Profiles bool `yaml:"profiles"`
}

// Check reports what is wrong, below key ("monitor").
func (c Config) Check(key string, r *config.Report) {
	if c.Listen == "" {
		if c.Profiles {
			r.Errorf(key+".profiles", "needs listen")
		}
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
	if ip := net.ParseIP(host); c.Profiles && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		r.Errorf(key+".profiles", "needs listen on a loopback address, and %q is none: a dump of memory holds tokens and keys", host)
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
