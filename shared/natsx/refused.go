package natsx

import (
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// refusals are who wants to know that the server refuses a subject.
type refusals struct {
	mu   sync.Mutex // guards told, held for a look
	told map[string]func(error)
}

// OnRefused calls f, in place of the log, whenever the server refuses this user a subject that begins with prefix: for
// what works without the permission too. One f for each prefix, and no prefix that begins
// with another. It is called by the goroutine of the connection's callbacks and must not block.
func (c *Conn) OnRefused(prefix string, f func(error)) {
	c.refusals.mu.Lock()
	defer c.refusals.mu.Unlock()
	if c.refusals.told == nil {
		c.refusals.told = map[string]func(error){}
	}
	c.refusals.told[prefix] = f
}

// tell reports whether somebody wanted to know of err.
func (r *refusals) tell(err error) bool {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	f := r.find(err.Error())
	if f != nil {
		f(err)
	}
	return f != nil
}

// find returns who wants to know of this text, nil for nobody.
func (r *refusals) find(text string) func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for prefix, f := range r.told {
		if strings.Contains(text, ` to "`+prefix) {
			return f
		}
	}
	return nil
}
