package natsx

import (
	"sync/atomic"
	"time"
)

// askAgain is how long a refused permission counts as such on one connection: a reload of the server's configuration may give it and
// leave the connection as it is.
const askAgain = 5 * time.Minute

// Permission is the right to publish below a prefix, for what works without it too. It counts as held until the server refuses a
// message; again after askAgain, and with every new connection, which may have other permissions. Safe for concurrent use.
type Permission struct {
	reconnects func() uint64
	since      time.Time // a moment before any use; what is measured from it does not depend on the wall clock
	// refused is when it was refused last, in nanoseconds after since, 0 while it counts as held; reconnect is in which connection.
	refused   atomic.Int64
	reconnect atomic.Uint64
	// told is the connection of which the refusal was told, plus 1.
	told atomic.Uint64
}

// Permission returns the right to publish below prefix; see OnRefused, of which it is the one f. refused is called, in place of the
// log, with every refusal, of which there are some when several messages are on their way; first says that it is the first of this
// connection.
func (c *Conn) Permission(prefix string, refused func(err error, first bool)) *Permission {
	p := newPermission(func() uint64 { return c.Stats().Reconnects })
	c.OnRefused(prefix, func(err error) { refused(err, p.lose()) })
	return p
}

func newPermission(reconnects func() uint64) *Permission {
	return &Permission{reconnects: reconnects, since: time.Now()}
}

// Held reports whether what is published now may arrive.
func (p *Permission) Held() bool {
	at := p.refused.Load()
	if at == 0 {
		return true
	}
	if p.reconnects() == p.reconnect.Load() && time.Since(p.since)-time.Duration(at) < askAgain {
		return false
	}
	p.refused.CompareAndSwap(at, 0)
	return true
}

// lose takes note of a refusal, and reports whether it is the first of this connection.
func (p *Permission) lose() (first bool) {
	connection := p.reconnects()
	p.reconnect.Store(connection)
	p.refused.Store(int64(max(1, time.Since(p.since))))
	return p.told.Swap(connection+1) != connection+1
}
