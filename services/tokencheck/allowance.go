package tokencheck

import "time"

// Bounds of the fetches that tokens can cause, whatever they name.
const (
	// forcedEvery is how often a refresh may be forced, forcedPerMinute how many fetches that makes in any minute, second
	// looks included.
	forcedEvery     = 5 * time.Second
	forcedPerMinute = 12
	// secondLooks are made while fewer fetches than this were forced in the last minute: while somebody sends random kids
	// what is left is for first looks.
	secondLooks = 4
)

// allowance counts what was forced in the last minute. The zero value has nothing used up. It is for one goroutine at a
// time.
type allowance struct {
	began  time.Time   // when the last refresh was forced
	recent []time.Time // fetches of the last minute, in order
}

// first reports whether a refresh may be forced at now, and counts its fetch if so.
//
// again is for a kid that one was made for in vain: a device with the token of a removed key is not to use up what a rotation
// needs.
func (a *allowance) first(now time.Time, again bool) bool {
	bound := forcedPerMinute
	if again {
		bound = secondLooks
	}
	if now.Sub(a.began) < forcedEvery || !a.fetch(now, bound) {
		return false
	}
	a.began = now
	return true
}

// second reports whether a forced refresh may look once more, and counts the fetch if so.
func (a *allowance) second(now time.Time) bool { return a.fetch(now, secondLooks) }

func (a *allowance) fetch(now time.Time, bound int) bool {
	over := 0
	for over < len(a.recent) && now.Sub(a.recent[over]) >= time.Minute {
		over++
	}
	a.recent = append(a.recent[:0], a.recent[over:]...)
	if len(a.recent) >= bound {
		return false
	}
	a.recent = append(a.recent, now)
	return true
}
