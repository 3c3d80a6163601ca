package natsx

import "sync/atomic"

// maxIdle is how many goroutines wait for their next request. A goroutine that has worked has the stack for it; a new one
// has to grow it.
const maxIdle = 64

// crew runs requests in goroutines that it keeps.
type crew struct {
	work func(*Request)
	hand chan *Request
	idle atomic.Int32
}

// start has r worked on, and never waits.
func (c *crew) start(r *Request) {
	select {
	case c.hand <- r:
	default:
		go c.run(r)
	}
}

func (c *crew) run(r *Request) {
	for {
		c.work(r)
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		r = <-c.hand
		c.idle.Add(-1)
		if r == nil {
			return
		}
	}
}

// dismiss ends the goroutines that wait, once nothing is started any more.
func (c *crew) dismiss() { close(c.hand) }
