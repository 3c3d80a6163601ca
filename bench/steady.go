package bench

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxPatience of a measured connect: it only ends one that would never end.
const maxPatience = 10 * time.Second

// Steady is the result of connecting again and again, each connection closed once it is admitted. Latencies run from
// the start of the TCP connect to the answer.
type Steady struct {
	Connects  int            `json:"connects"`
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"connects_per_second"`
	P50Millis float64        `json:"p50_ms"`
	P99Millis float64        `json:"p99_ms"`
	Failed    map[string]int `json:"failed,omitempty"`
}

// ClosedLoop connects len(handshakes) times with workers clients, each of which starts the next when the last is done.
func ClosedLoop(addr string, handshakes [][]byte, workers int) Steady {
	var m meter
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range workers {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(handshakes) {
					return
				}
				m.connect(addr, handshakes[i], time.Now())
			}
		})
	}
	all.Wait()
	return m.result(time.Since(began))
}

// OpenLoop starts connects at an even rate, whatever becomes of those before.
func OpenLoop(addr string, handshakes [][]byte, perSecond float64) Steady {
	var m meter
	var all sync.WaitGroup
	began := time.Now()
	for i, h := range handshakes {
		due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		time.Sleep(time.Until(due))
		all.Go(func() { m.connect(addr, h, due) })
	}
	all.Wait()
	return m.result(time.Since(began))
}

// meter collects the connects of one measurement.
type meter struct {
	mu        sync.Mutex
	latencies []time.Duration
	failed    [outcomes]int
}

// connect counts from due, so that a generator that lags behind hides nothing.
func (m *meter) connect(addr string, handshake []byte, due time.Time) {
	outcome, conn := Client{Patience: maxPatience}.connect(addr, handshake)
	took := time.Since(due)
	if conn != nil {
		hangUp(conn)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if outcome == Admitted {
		m.latencies = append(m.latencies, took)
	} else {
		m.failed[outcome]++
	}
}

func (m *meter) result(took time.Duration) Steady {
	slices.Sort(m.latencies)
	s := Steady{
		Connects:  len(m.latencies),
		Seconds:   took.Seconds(),
		PerSecond: float64(len(m.latencies)) / took.Seconds(),
		P50Millis: millis(percentile(m.latencies, 50)),
		P99Millis: millis(percentile(m.latencies, 99)),
	}
	for o, n := range m.failed {
		if n > 0 {
			if s.Failed == nil {
				s.Failed = make(map[string]int)
			}
			s.Failed[Outcome(o).String()] = n
		}
	}
	return s
}

// percentile of a sorted list, 0 for an empty one.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
