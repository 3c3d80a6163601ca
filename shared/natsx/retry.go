package natsx

import "sync"

// The retry budget: every call adds a share of one further attempt, every further attempt takes a whole one. So in the
// long run further attempts are at most that share of the calls, however many calls fail: an overloaded neighbour gets
// no more than that on top, for silence and for trouble each. The stock covers the death of a replica with requests in its hands; the larger one also those that were
// handed on to nobody, of which nobody tells.
const (
	retryShare = 0.25
	retryStock = 256

	retryStockOnward = 2048
)

// retryBudget is safe for concurrent use. The zero value is empty.
type retryBudget struct {
	mu          sync.Mutex
	stock, most float64
}

func newRetryBudget(stock float64) *retryBudget { return &retryBudget{stock: stock, most: stock} }

func (b *retryBudget) called() {
	b.mu.Lock()
	b.stock = min(b.stock+retryShare, b.most)
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
