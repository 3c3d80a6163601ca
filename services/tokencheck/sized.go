package tokencheck

import "github.com/hashicorp/golang-lru/v2/simplelru"

// sized is a cache bounded by number and by bytes, the least recently used forgotten first. Not safe for concurrent use.
type sized[K comparable, V interface{ bytes() int }] struct {
	lru      *simplelru.LRU[K, V]
	maxBytes int
	bytes    int
}

// newSized returns one of at most maxEntries, which is positive, and maxBytes.
func newSized[K comparable, V interface{ bytes() int }](maxEntries, maxBytes int) *sized[K, V] {
	s := &sized[K, V]{maxBytes: maxBytes}
	lru, err := simplelru.NewLRU(maxEntries, func(_ K, v V) { s.bytes -= v.bytes() })
	if err != nil {
		panic(err) // the size was checked with the configuration
	}
	s.lru = lru
	return s
}

func (s *sized[K, V]) get(k K) (V, bool) { return s.lru.Get(k) }

func (s *sized[K, V]) add(k K, v V) {
	s.lru.Remove(k) // so that its bytes are given back
	s.lru.Add(k, v)
	for s.bytes += v.bytes(); s.bytes > s.maxBytes; {
		s.lru.RemoveOldest()
	}
}

func (s *sized[K, V]) remove(k K) { s.lru.Remove(k) }

func (s *sized[K, V]) purge() { s.lru.Purge() }

func (s *sized[K, V]) count() int { return s.lru.Len() }
