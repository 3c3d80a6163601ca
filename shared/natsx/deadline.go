package natsx

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is a context with a deadline that costs a timer and a channel only when somebody asks for Done. Most
// handlers only want to know when it ends.
type deadlineContext struct {
	mu       sync.Mutex
	deadline time.Time
	done     chan struct{}
	timer    *time.Timer
	err      error
}

var _ context.Context = (*deadlineContext)(nil)

func (c *deadlineContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, true
}

func (c *deadlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
		}
	}
	return c.done
}

func (c *deadlineContext) Err() error {
	c.mu.Lock()
	late := c.err == nil && !time.Now().Before(c.deadline)
	err := c.err
	c.mu.Unlock()
	if late { // a concurrent end may have come first: both errors were true then
		c.end(context.DeadlineExceeded)
		return context.DeadlineExceeded
	}
	return err
}

func (*deadlineContext) Value(any) any { return nil }

// shorten moves the deadline to t if that is earlier.
func (c *deadlineContext) shorten(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.Before(c.deadline) {
		return
	}
	c.deadline = t
	if c.timer != nil {
		c.timer.Reset(time.Until(t))
	}
}

// end ends the context with err, unless it has ended.
func (c *deadlineContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
		c.timer.Stop()
	}
}
