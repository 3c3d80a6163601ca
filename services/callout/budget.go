package callout

import "time"

// answerMargin is what the way back to the server and the end of the handshake take from the budget.
const answerMargin = 100 * time.Millisecond

// budget is how long a login may take, counted from the arrival of its request (DESIGN P2).
type budget struct {
	// patience is the clients' connect timeout, maximum the operator's bound.
	patience, maximum time.Duration
}

// ceiling is the budget before anything is known of the request.
func (b budget) ceiling() time.Duration { return min(b.patience, b.maximum) - answerMargin }

// of returns the budget of a request whose server waits this long.
func (b budget) of(serverWait time.Duration) time.Duration {
	return min(b.ceiling(), serverWait-answerMargin)
}
