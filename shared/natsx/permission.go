package natsx

import "sync/atomic"

// Permission is the right to publish below a prefix, for what works without it too. It counts as held until the server refuses a
// message, and again with every new connection, which may have other permissions. Safe for concurrent use.
type Permission struct {
	conn *Conn
	// refused says that it was refused, as of the reconnectth connection.
	refused   atomic.Bool
	reconnect atomic.Uint64
}

// Permission returns the right to publish below prefix; see OnRefused, of which it is the one f. refused is called, in place of the
// log, with the first refusal of each connection.
func (c *Conn) Permission(prefix string, refused func(error)) *Permission {
	p := &Permission{conn: c}
	c.OnRefused(prefix, func(err error) {
		p.reconnect.Store(c.Stats().Reconnects)
		if !p.refused.Swap(true) {
			refused(err)
		}
	})
	return p
}

// Held reports whether what is published now may arrive.
func (p *Permission) Held() bool {
	if !p.refused.Load() {
		return true
	}
	if p.conn.Stats().Reconnects == p.reconnect.Load() {
		return false
	}
	p.refused.Store(false)
	return true
}
