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

// unknownKids remembers the kids that a refresh was made for in vain: bounded, so that random ones cost nothing but each
// other. It limits what such a kid may cause, and says nothing of whether there is a key: kids can be guessed, and named before
// there is one. Safe for concurrent use.
type unknownKids struct {
	mu    sync.Mutex // guards since
	since *simplelru.LRU[string, time.Time]
}

func newUnknownKids() *unknownKids {
	since, err := simplelru.NewLRU[string, time.Time](maxUnknownKids, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &unknownKids{since: since}
}

// lacked reports whether kid was added within unknownKidsKept before now.
func (u *unknownKids) lacked(kid string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, ok := u.since.Get(kid)
	return ok && now.Sub(since) < unknownKidsKept
}

// add remembers that a refresh at now was made for kid in vain. One that is remembered keeps its time: asking again and
// again does not make it last.
func (u *unknownKids) add(kid string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if since, ok := u.since.Get(kid); !ok || now.Sub(since) >= unknownKidsKept {
		u.since.Add(kid, now)
	}
}
