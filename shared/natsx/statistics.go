package natsx

import (
	"sync/atomic"
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// Statistics are an endpoint's own figures, shown by `nats micro stats` beside micro's: micro's processing time ends
// where a request is handed over, and it counts messages, of which one may hold several requests, and errors of requests.
// Times are in milliseconds.
type Statistics struct {
	Load    Load `json:"load"`
	Service any  `json:"service,omitempty"`
}

// Load is what an endpoint has to do and how it copes.
type Load struct {
	Running    int     `json:"running"`
	Waiting    int     `json:"waiting"`
	Limit      int     `json:"limit"`
	Handled    uint64  `json:"handled"`
	Overloaded uint64  `json:"overloaded"`
	OutOfTime  uint64  `json:"out_of_time"`
	MeanMillis float64 `json:"mean_ms"`
	// UsualMillis is the smoothed time of recent handlers.
	UsualMillis float64 `json:"usual_ms"`
}

// tally counts what became of requests.
type tally struct {
	handled, overloaded, outOfTime atomic.Uint64
	nanoseconds                    atomic.Int64
}

func (t *tally) gaveUp(code wire.Code) {
	if code == wire.Overloaded {
		t.overloaded.Add(1)
	} else {
		t.outOfTime.Add(1)
	}
}

func (t *tally) took(d time.Duration) {
	t.handled.Add(1)
	t.nanoseconds.Add(int64(d))
}

// load returns the endpoint's figures.
func (e *endpoint) load() Load {
	e.mu.Lock()
	l := Load{
		Running:     e.admission.running,
		Waiting:     e.admission.waits + len(e.unsorted),
		Limit:       e.admission.limit.current,
		UsualMillis: milliseconds(e.admission.limit.usual),
	}
	e.mu.Unlock()
	l.Handled, l.Overloaded, l.OutOfTime = e.tally.handled.Load(), e.tally.overloaded.Load(), e.tally.outOfTime.Load()
	if l.Handled > 0 {
		l.MeanMillis = milliseconds(time.Duration(e.tally.nanoseconds.Load())) / float64(l.Handled)
	}
	return l
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
