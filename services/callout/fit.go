package callout

import (
	"fmt"
	"time"
)

// Misfits says how a server's authorization.timeout and the clients' patience do not fit together: each problem with what
// to do, nothing when they fit. Both are whole-second settings in practice; a server's wait is known to the second.
func Misfits(serverWait, patience time.Duration) []string {
	switch {
	case serverWait < patience.Truncate(time.Second):
		return []string{fmt.Sprintf("nats-server's authorization.timeout is %s and clients wait %s: when no callout answers at all, the server gives up before "+
			"the clients and tells them of an authorization error, and two of those end a default client for good; raise authorization.timeout to %[2]s or more",
			serverWait, patience)}
	case serverWait > patience+time.Second:
		return []string{fmt.Sprintf("nats-server's authorization.timeout is %s and clients wait %s: in a storm the server is held up by attempts whose clients "+
			"have gone; raise the clients' connect timeout and client_patience to %[1]s, or lower authorization.timeout to %[2]s",
			serverWait, patience)}
	}
	return nil
}

// settleAfter is how many requests in a row must speak for a value.
const settleAfter = 16

// waits learns a server's authorization.timeout. A request's exp - iat is whole seconds of which one may be lost or won
// where a second began in between, so one request proves little.
type waits struct {
	settled   time.Duration
	candidate time.Duration
	since     int
}

// see takes one request's wait; settled says that the value is new.
func (w *waits) see(wait time.Duration) (value time.Duration, settled bool) {
	if wait == w.settled {
		w.since = 0
		return wait, false
	}
	if wait != w.candidate {
		w.candidate, w.since = wait, 0
	}
	if w.since++; w.since < settleAfter {
		return w.settled, false
	}
	w.settled, w.since = wait, 0
	return wait, true
}
