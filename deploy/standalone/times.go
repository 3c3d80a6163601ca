package standalone

import (
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/shared/config"
)

// misfits warns where the server's authorization.timeout does not fit to the clients' patience in callout.yaml.
func (s *System) misfits(dir string) config.Problems {
	var all config.Problems
	for _, text := range callout.Misfits(authTimeout(s.server), s.callout.ClientPatience) {
		all = append(all, config.Problem{File: filepath.Join(dir, ServerFile), Key: "authorization.timeout", Message: text, Warning: true})
	}
	return all
}

// authTimeout is how long the server waits for the callout; without a setting it is as server/opts.go has it
// (getDefaultAuthTimeout): 2s, with TLS a second more than the TLS timeout.
func authTimeout(o *server.Options) time.Duration {
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	switch {
	case o.AuthTimeout > 0:
		return seconds(o.AuthTimeout)
	case o.TLSConfig != nil && o.TLSTimeout > 0:
		return seconds(o.TLSTimeout) + time.Second
	case o.TLSConfig != nil:
		return server.TLS_TIMEOUT + time.Second
	}
	return server.AUTH_TIMEOUT
}
