package natsx

import "sync"

// The retry budget: every call adds a share of one further attempt, every further attempt takes a whole one. So in the
// long run further attempts are at most that share of the calls, however many calls fail: an overloaded neighbour gets
// no more than that on top. The stock covers the death of a replica with requests in its hands.
const (
	retryShare = 0.25
	retryStock = 256
)

// retryBudget is safe for concurrent use. The zero value is empty.
type retryBudget struct {
	mu    sync.Mutex
	stock float64
}

func (b *retryBudget) called() {
	b.mu.Lock()
	b.stock = min(b.stock+retryShare, retryStock)
	b.mu.Unlock()
}

// take reports whether a further attempt may be made.
func (b *retryBudget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stock < 1 {
		return false
	}
	b.stock--
	return true
}
