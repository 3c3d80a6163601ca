package bench

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Flood is what became of more connects than can be admitted, offered at an even rate, each tried once.
type Flood struct {
	Name    string  `json:"name"`
	Factor  float64 `json:"factor"` // of the capacity of the smallest callout
	Offered float64 `json:"offered_per_second"`
	Seconds float64 `json:"seconds"`
	Goodput float64 `json:"admitted_per_second"`
	// Share is the goodput as a share of the smallest callout's capacity.
	Share     float64        `json:"share_of_capacity"`
	P99Millis float64        `json:"p99_ms"`
	Outcomes  map[string]int `json:"outcomes"`
	Wasted    int            `json:"wasted"`
	PerBucket []int          `json:"admitted_per_quarter_second"`
	// CPU is how many processors were busy, by role, until the last of the clients was done.
	CPU map[string]float64 `json:"processors_busy"`
}

// busy is CPU of all roles.
func (f *Flood) busy() float64 {
	sum := 0.0
	for _, n := range f.CPU {
		sum += n
	}
	return sum
}

// RunFlood offers factor times capacity connects a second for the time, with the patience of a default client.
func RunFlood(name string, s *System, handshakes [][]byte, capacity, factor float64, lasts time.Duration) (Flood, error) {
	before, err := s.Answered()
	if err != nil {
		return Flood{}, err
	}
	f := Flood{Name: name, Factor: factor, Offered: capacity * factor, Seconds: lasts.Seconds(), Outcomes: make(map[string]int)}
	var counts [outcomes]atomic.Int64
	var mu sync.Mutex
	var latencies []time.Duration
	f.PerBucket = make([]int, max(1, int(lasts/stormBucket)))
	client := DefaultFleet(0).Client
	used, err := cpuOf(s.processes)
	if err != nil {
		return Flood{}, err
	}
	var all sync.WaitGroup
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(float64(i) / f.Offered * float64(time.Second)))
		if due.Sub(began) >= lasts {
			break
		}
		time.Sleep(time.Until(due))
		all.Go(func() {
			outcome, conn := client.connect(s.Addr, handshakes[i%len(handshakes)])
			counts[outcome].Add(1)
			if conn == nil {
				return
			}
			took, at := time.Since(due), time.Since(began)
			hangUp(conn)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, took)
			if bucket := int(at / stormBucket); bucket < len(f.PerBucket) { // not after the end
				f.PerBucket[bucket]++
			}
		})
	}
	all.Wait()
	if f.CPU, err = busySince(s.processes, used, time.Since(began)); err != nil {
		return Flood{}, err
	}
	slices.Sort(latencies)
	inTime := 0
	for _, n := range f.PerBucket {
		inTime += n
	}
	f.Goodput = float64(inTime) / (time.Duration(len(f.PerBucket)) * stormBucket).Seconds()
	f.Share = f.Goodput / capacity
	f.P99Millis = millis(percentile(latencies, 99))
	for o := range counts {
		if n := int(counts[o].Load()); n > 0 {
			f.Outcomes[Outcome(o).String()] = n
		}
	}
	time.Sleep(settle)
	answered, err := s.Answered()
	if err == nil && s.answered != nil {
		f.Wasted = max(0, int(answered-before)-len(latencies))
	}
	return f, err
}
