package cluster

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// Connect returns a connection that must come up, with any server. It ends with the test.
func (c *Cluster) Connect(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := c.Dial(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Dial is Connect for a connection that need not come up; the caller closes it. It has a patient connect timeout, so that
// a busy test machine is no failure; a test about timeouts sets its own.
func (c *Cluster) Dial(options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(strings.Join(c.URLs(), ","), append([]nats.Option{nats.Timeout(Patience)}, options...)...)
}

// Violations collects the permission violations that a server tells a client about. Safe for concurrent use.
type Violations struct {
	mu   sync.Mutex // guards seen
	seen []string
}

// Option makes a connection collect.
func (v *Violations) Option() nats.Option {
	return nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			v.mu.Lock()
			v.seen = append(v.seen, strings.ToLower(err.Error()))
			v.mu.Unlock()
		}
	})
}

// Saw reports whether the server refused verb ("publish" or "subscription") on subject.
func (v *Violations) Saw(verb, subject string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.seen {
		if strings.Contains(s, verb) && strings.Contains(s, strings.ToLower(`"`+subject+`"`)) {
			return true
		}
	}
	return false
}
