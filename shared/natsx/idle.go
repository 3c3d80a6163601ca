package natsx

import (
	"context"
	"fmt"
)

// settle ends n of what is owed. e.mu is held.
func (e *endpoint) settle(n int) {
	e.owed -= n
	e.checkIdle()
}

// checkIdle wakes who waits for the end of all work. e.mu is held.
func (e *endpoint) checkIdle() {
	if e.idle != nil && e.admission.running == 0 && e.admission.waits == 0 && e.owed == 0 {
		close(e.idle)
		e.idle = nil
	}
}

// wait returns nil when nothing runs, waits or is owed, and has dismissed the crew then. It fails when ctx ends before. One call at a
// time.
func (e *endpoint) wait(ctx context.Context) error {
	idle := make(chan struct{})
	e.mu.Lock()
	e.idle = idle
	e.checkIdle()
	e.mu.Unlock()
	select {
	case <-idle:
		e.crew.dismiss()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests are still unanswered: %w", ctx.Err())
	}
}
