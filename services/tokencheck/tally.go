package tokencheck

import (
	"maps"
	"sync"

	"harmony.internal/authcallout/shared/wire"
)

// verdict is what became of one token: accepted with code 0. issuer is a configured one, or empty when none was found.
type verdict struct {
	issuer string
	code   wire.Code
}

// result is the verdict in one word.
func (v verdict) result() string {
	switch {
	case v.code == 0:
		return "accepted"
	case v.code.Class() == wire.Definite:
		return "refused"
	}
	return "trouble"
}

// tally counts verdicts since the start. Safe for concurrent use.
type tally struct {
	mu     sync.Mutex // guards counts, held for one increment or one copy
	counts map[verdict]int64
}

// count counts one answer. issuer is that of an accepted token; a failure names its own.
func (t *tally) count(issuer string, fail *wire.Error) {
	v := verdict{issuer: issuer}
	if fail != nil {
		v.code = fail.Code
		if fail.Token != nil {
			v.issuer = fail.Token.Issuer
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[v]++
}

func (t *tally) copy() map[verdict]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// refused sums up by reason what was not accepted.
func (t *tally) refused() map[string]int64 {
	out := map[string]int64{}
	for v, n := range t.copy() {
		if v.code != 0 {
			out[v.code.String()] += n
		}
	}
	return out
}
