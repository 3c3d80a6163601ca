package bench

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"time"
)

// Condition is one row of the speed table: a system and what its clients present.
type Condition struct {
	Key, Name string
	system    *System
	next      func(n int) [][]byte // n handshakes for one round
}

// Sample is one round of one condition. CPU is in seconds per 1,000 connects, by role.
type Sample struct {
	Steady
	CPU map[string]float64 `json:"cpu_seconds_per_1000"`
}

// Row is all rounds of one condition and their median. Services is the CPU of all services together.
type Row struct {
	Key      string   `json:"key"`
	Name     string   `json:"name"`
	Median   Sample   `json:"median"`
	Services float64  `json:"services_cpu_seconds_per_1000"`
	Rounds   []Sample `json:"rounds"`
	HalfLoad *Latency `json:"half_load,omitempty"`
}

// Latency is how long connects took at a given rate: all rounds of one condition, and their medians.
type Latency struct {
	P50Millis float64  `json:"p50_ms"`
	P99Millis float64  `json:"p99_ms"`
	Rounds    []Steady `json:"rounds"`
}

// Speed measures conditions in rounds, interleaved, so that a disturbance meets all of them.
type Speed struct {
	Rounds   int
	Connects int // in one round of one condition
	Workers  int
	Progress *log.Logger
}

// Run measures.
func (s Speed) Run(conditions []Condition) ([]Row, error) {
	rows := make([]Row, len(conditions))
	for round := range s.Rounds {
		for i, c := range conditions {
			sample, err := s.measure(c)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.Name, round+1, err)
			}
			s.Progress.Printf("round %d  %-44s %6.0f connects/s", round+1, c.Name, sample.PerSecond)
			rows[i].Key, rows[i].Name = c.Key, c.Name
			rows[i].Rounds = append(rows[i].Rounds, sample)
		}
	}
	for i := range rows {
		rows[i].summarize()
	}
	return rows, nil
}

func (s Speed) measure(c Condition) (Sample, error) {
	handshakes := c.next(s.Connects)
	before, err := cpuOf(c.system.processes)
	if err != nil {
		return Sample{}, err
	}
	sample := Sample{Steady: ClosedLoop(c.system.Addr, handshakes, s.Workers), CPU: make(map[string]float64)}
	time.Sleep(settle)
	after, err := cpuOf(c.system.processes)
	if err != nil {
		return Sample{}, err
	}
	if sample.Connects == 0 {
		return Sample{}, fmt.Errorf("nobody was admitted: %v", sample.Failed)
	}
	for role, used := range after {
		sample.CPU[role] = (used - before[role]).Seconds() * 1000 / float64(sample.Connects)
	}
	return sample, nil
}

// settle lets the processes finish what a round left them, the closing of connections above all.
const settle = 300 * time.Millisecond

// HalfLoad measures latencies at half of the rate that (b) reached, which all conditions share, in interleaved rounds.
func (s Speed) HalfLoad(conditions []Condition, rows []Row, perSecond float64) {
	for i := range rows {
		rows[i].HalfLoad = &Latency{}
	}
	for round := range s.Rounds {
		for i, c := range conditions {
			result := OpenLoop(c.system.Addr, c.next(s.Connects), perSecond/2)
			rows[i].HalfLoad.Rounds = append(rows[i].HalfLoad.Rounds, result)
			s.Progress.Printf("half load %d  %-44s p50 %.1f ms, p99 %.1f ms", round+1, c.Name, result.P50Millis, result.P99Millis)
		}
	}
	for i := range rows {
		half := rows[i].HalfLoad
		half.P50Millis = medianOf(half.Rounds, func(s Steady) float64 { return s.P50Millis })
		half.P99Millis = medianOf(half.Rounds, func(s Steady) float64 { return s.P99Millis })
	}
}

func (r *Row) summarize() {
	of := func(value func(Sample) float64) float64 { return medianOf(r.Rounds, value) }
	r.Median = Sample{
		Steady: Steady{
			Connects:  r.Rounds[0].Connects,
			Seconds:   of(func(s Sample) float64 { return s.Seconds }),
			PerSecond: of(func(s Sample) float64 { return s.PerSecond }),
			P50Millis: of(func(s Sample) float64 { return s.P50Millis }),
			P99Millis: of(func(s Sample) float64 { return s.P99Millis }),
		},
		CPU: make(map[string]float64),
	}
	for role := range maps.Keys(r.Rounds[0].CPU) {
		r.Median.CPU[role] = of(func(s Sample) float64 { return s.CPU[role] })
		if role != "nats-server" && role != "load" {
			r.Services += r.Median.CPU[role]
		}
	}
}

// medianOf is the median of one figure over all rounds.
func medianOf[R any](rounds []R, figure func(R) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = figure(r)
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
