package tokencheck

import (
	"maps"
	"sync"

	"harmony.internal/authcallout/shared/wire"
)

// outcome is what became of one token: accepted with code 0. issuer is a configured one, or empty when none was found.
type outcome struct {
	issuer string
	code   wire.Code
}

// result is the outcome in one word.
func (o outcome) result() string {
	switch {
	case o.code == 0:
		return "accepted"
	case o.code.Class() == wire.Definite:
		return "refused"
	}
	return "trouble"
}

// tally counts outcomes since the start. Safe for concurrent use.
type tally struct {
	mu     sync.Mutex // guards counts, held for one increment or one copy
	counts map[outcome]int64
}

// count counts one answer. issuer is that of an accepted token; a failure names its own.
func (t *tally) count(issuer string, fail *wire.Error) {
	o := outcome{issuer: issuer}
	if fail != nil {
		o.code = fail.Code
		if fail.Token != nil {
			o.issuer = fail.Token.Issuer
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[o]++
}

func (t *tally) copy() map[outcome]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// refused sums up by reason what was not accepted.
func (t *tally) refused() map[string]int64 {
	out := map[string]int64{}
	for o, n := range t.copy() {
		if o.code != 0 {
			out[o.code.String()] += n
		}
	}
	return out
}
