// Package heaptest is for tests of what is kept in memory.
package heaptest

import "runtime"

// InUse is how much of the heap is in use after a collection, in bytes. It is of the whole process: compare two looks, with nothing else going
// on between them.
func InUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one's finalizers and pools let go
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below the bound
}
