package natsx

import "time"

const (
	// maxUnsorted bounds the weight of the requests whose source is not known yet.
	maxUnsorted = 1024
	// sortAtOnce is how many of them are admitted together: the first must not wait for the source of the last.
	sortAtOnce = 64
)

// sort admits the unsorted until there are none.
func (e *endpoint) sort() {
	for {
		e.mu.Lock()
		n := min(len(e.unsorted), sortAtOnce)
		if n == 0 {
			e.unsorted, e.unsortedWeight, e.sorting = nil, 0, false
			e.settle(1)
			e.mu.Unlock()
			return
		}
		list := e.unsorted[:n:n]
		e.unsorted = e.unsorted[n:]
		for _, r := range list {
			e.unsortedWeight -= r.weight
		}
		e.mu.Unlock()
		for _, r := range list { // may take a while, so e.mu is not held
			e.admission.place(r)
		}
		e.admit(list, time.Now())
		clear(list) // it is a part of what e.unsorted grows in
	}
}
