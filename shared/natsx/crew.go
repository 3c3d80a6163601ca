package natsx

import (
	"sync"
	"sync/atomic"
)

// maxIdle is how many goroutines wait for their next request. A goroutine that has worked has the stack for it; a new one
// has to grow it.
const maxIdle = 64

// crew runs requests in goroutines that it keeps. Safe for concurrent use.
type crew struct {
	work  func(*Request)
	hand  chan *Request
	ended chan struct{} // closed by dismiss
	idle  atomic.Int32

	dismissing sync.Once
}

func newCrew(work func(*Request)) *crew {
	return &crew{work: work, hand: make(chan *Request), ended: make(chan struct{})}
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
		select {
		case r = <-c.hand:
			c.idle.Add(-1)
		case <-c.ended:
			return
		}
	}
}

// dismiss ends the goroutines that wait. What is started later is worked on all the same: while the connection is down
// nobody can tell whether a request is still on its way from the subscription.
func (c *crew) dismiss() { c.dismissing.Do(func() { close(c.ended) }) }
