package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check is one condition for doing the real work.
type Check struct {
	// Name is short and stable: nats, keys, tokencheck.
	Name string
	// Do returns nil while the condition holds, and otherwise what does not, for people. It is called concurrently and
	// obeys ctx.
	Do func(ctx context.Context) error
}

// Readiness is the answer of /readyz, and of the endpoint ready over NATS.
type Readiness struct {
	Service string `json:"service"`
	Version string `json:"version"`
	// Ready says that the process could do its real work a moment ago.
	Ready  bool     `json:"ready"`
	Checks []Result `json:"checks"`
}

// Result is what one Check found.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"` // what does not hold
}

// String says in one line what is missing, "ready" when nothing is.
func (r *Readiness) String() string {
	var missing []string
	for _, c := range r.Checks {
		if !c.OK {
			missing = append(missing, c.Name+": "+c.Error)
		}
	}
	if len(missing) == 0 {
		return "ready"
	}
	return strings.Join(missing, "; ")
}

const (
	// checkTimeout bounds one look.
	checkTimeout = 2 * time.Second
	// lookAgain is how long a look is good for: however many ask, the checks run no more often.
	lookAgain = 500 * time.Millisecond
)

// readiness looks at the checks, not more often than lookAgain and never twice at once. Safe for concurrent use.
type readiness struct {
	service, version string
	checks           []Check

	mu   sync.Mutex // guards what follows, held while looking
	last *Readiness
	at   time.Time
}

// look returns what the checks say now or said a moment ago. It takes checkTimeout at most, whoever asks.
func (r *readiness) look() *Readiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil && time.Since(r.at) < lookAgain {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	out := &Readiness{Service: r.service, Version: r.version, Checks: make([]Result, len(r.checks))}
	var looking sync.WaitGroup
	for i, c := range r.checks {
		looking.Go(func() { out.Checks[i] = c.result(ctx) })
	}
	looking.Wait()
	out.Ready = !slices.ContainsFunc(out.Checks, func(c Result) bool { return !c.OK })
	r.last, r.at = out, time.Now()
	return out
}

func (c Check) result(ctx context.Context) (out Result) {
	defer func() {
		if p := recover(); p != nil {
			out = Result{Name: c.Name, Error: fmt.Sprintf("panic: %v", p)}
		}
	}()
	if err := c.Do(ctx); err != nil {
		return Result{Name: c.Name, Error: err.Error()}
	}
	return Result{Name: c.Name, OK: true}
}

// JSON is the readiness on the wire.
func (r *Readiness) JSON() []byte {
	data, err := json.Marshal(r)
	if err != nil { // plain fields
		return []byte(`{"ready":false}`)
	}
	return data
}
