package tokencheck

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	maxUnknownKids  = 1024
	unknownKidsKept = 30 * time.Second
)

// unknownKids remembers when each unknown kid was first seen: bounded, so that random ones cost nothing but each other.
// Safe for concurrent use.
type unknownKids struct {
	mu   sync.Mutex // guards seen, and makes get-or-add one step
	seen *simplelru.LRU[string, time.Time]
}

func newUnknownKids() *unknownKids {
	seen, err := simplelru.NewLRU[string, time.Time](maxUnknownKids, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &unknownKids{seen: seen}
}

// firstSeen returns when kid was first seen, now if that is unknown or too long ago.
func (u *unknownKids) firstSeen(kid string, now time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if first, ok := u.seen.Get(kid); ok && now.Sub(first) < unknownKidsKept {
		return first
	}
	u.seen.Add(kid, now)
	return now
}
