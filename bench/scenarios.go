package bench

import (
	"fmt"
	"log"
	"strconv"
	"time"
)

// Scenarios runs the storms and floods of one set of systems.
type Scenarios struct {
	Lab      *Lab
	Clients  []int
	Limit    time.Duration
	Flood    time.Duration // how long an overload lasts
	Replicas int
	Progress *log.Logger
}

// variant is a system that storms are run against.
type variant struct {
	name  string
	start func() (*System, error)
	// ours says that it needs the services' programs.
	ours bool
	// mute says that it admits nobody: it is for overloads alone.
	mute bool
	// pair starts it with two copies of each service at least; nil where there can be but one.
	pair func() (*System, error)
}

// twice returns the variant with two copies of each service, where it may have them.
func (v variant) twice() variant {
	if v.pair != nil {
		v.start = v.pair
	}
	return v
}

func (sc Scenarios) variants() []variant {
	three := func(name string, o Options) variant {
		o.Replicas = sc.Replicas
		pair := o
		pair.Replicas = max(2, o.Replicas)
		return variant{
			name: name, ours: true,
			start: func() (*System, error) { return sc.Lab.Three(o) },
			pair:  func() (*System, error) { return sc.Lab.Three(pair) },
		}
	}
	return []variant{
		{name: "nobody answers", start: sc.Lab.Mute, mute: true},
		{name: "smallest callout, pool", start: func() (*System, error) { return sc.Lab.Smallest(Options{}) }},
		{name: "smallest callout, a goroutine a request, no shedding", start: func() (*System, error) { return sc.Lab.Smallest(Options{PerRequest: true}) }},
		three("three processes, silence", Options{}),
		three("three processes, hang-up", Options{Kick: true}),
	}
}

// What is added to a system's name for the storms that are not plain ones.
const (
	killed       = ", kill -9 in the middle"
	restarted    = ", server restart"
	providerDown = restarted + ", provider down"
	spread8s     = ", spread over 8 s"
	waits10s     = ", everybody waits 10 s"
	maxBudgetOf  = ", max_budget " // and the budget
	answersPing  = " and answers the server's PING"
)

// kinds are the endings of the names.
var kinds = []string{killed, providerDown, restarted, spread8s, waits10s + answersPing, waits10s}

// Run runs every scenario that only names: storm, spread, restart, provider, kill, flood, age, patient.
func (sc Scenarios) Run(report *Report, only func(string) bool, ours bool) error {
	capacity, err := sc.capacity()
	if err != nil {
		return err
	}
	sc.Progress.Printf("capacity of the smallest callout: %.0f connects/s", capacity)
	most := 0
	for _, n := range sc.Clients {
		most = max(most, n)
	}
	handshakes, err := sc.Lab.Handshakes("RS256", most)
	if err != nil {
		return err
	}
	for _, v := range sc.variants() {
		if v.ours && !ours {
			continue
		}
		if !v.mute {
			if err := sc.storms(report, v, only, handshakes, capacity); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
		if !only("flood") {
			continue
		}
		for _, factor := range []float64{1.5, 3} {
			if err := sc.flood(report, v, handshakes, capacity, factor); err != nil {
				return fmt.Errorf("%s, %.1fx: %w", v.name, factor, err)
			}
		}
	}
	if only("age") && ours {
		if err := sc.ages(report, handshakes, capacity); err != nil {
			return err
		}
	}
	if only("patient") {
		return sc.patient(report, handshakes, ours)
	}
	return nil
}

// ages compares how old requests may become before they are let go of: max_budget less the 0.1 s that the way back takes.
func (sc Scenarios) ages(report *Report, handshakes [][]byte, capacity float64) error {
	for _, budget := range []time.Duration{600 * time.Millisecond, 900 * time.Millisecond, 1200 * time.Millisecond, 1600 * time.Millisecond, 1800 * time.Millisecond, 2 * time.Second} {
		v := variant{
			name: "three processes, hang-up" + maxBudgetOf + budget.String(),
			start: func() (*System, error) {
				return sc.Lab.Three(Options{Replicas: sc.Replicas, Kick: true, MaxBudget: budget})
			},
		}
		for _, n := range sc.Clients {
			fleet := DefaultFleet(n)
			fleet.Limit = sc.Limit
			if err := sc.with(v, handshakes[0], func(s *System) error {
				return sc.add(report)(RunStorm(v.name, s, fleet, handshakes))
			}); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
		if err := sc.flood(report, v, handshakes, capacity, 1.5); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// capacity is what the smallest callout admits in a second, the yardstick of the floods.
func (sc Scenarios) capacity() (float64, error) {
	s, err := sc.Lab.Smallest(Options{})
	if err != nil {
		return 0, err
	}
	defer s.Stop()
	hs, err := sc.Lab.Handshakes("EdDSA", 1)
	if err != nil {
		return 0, err
	}
	if err := s.Ready(hs[0]); err != nil {
		return 0, err
	}
	var rates []float64
	for range 3 {
		rates = append(rates, ClosedLoop(s.Addr, Repeat(hs, 3000), 64).PerSecond)
	}
	return median(rates), nil
}

// with runs do against a fresh system.
func (sc Scenarios) with(v variant, handshake []byte, do func(*System) error) error {
	s, err := v.start()
	if err != nil {
		return err
	}
	defer s.Stop()
	if !v.mute {
		if err := s.Ready(handshake); err != nil {
			return err
		}
	}
	return do(s)
}

// add returns what takes the result of a storm into the report.
func (sc Scenarios) add(report *Report) func(Storm, error) error {
	return func(st Storm, err error) error {
		if err == nil {
			report.Storms = append(report.Storms, st)
			sc.Progress.Print(st.line())
		}
		return err
	}
}

func (sc Scenarios) storms(report *Report, v variant, only func(string) bool, handshakes [][]byte, capacity float64) error {
	add := sc.add(report)
	for _, n := range sc.Clients {
		fleet := DefaultFleet(n)
		fleet.Limit = sc.Limit
		if only("storm") {
			if err := sc.with(v, handshakes[0], func(s *System) error {
				return add(RunStorm(v.name, s, fleet, handshakes))
			}); err != nil {
				return err
			}
		}
	}
	fleet := DefaultFleet(sc.Clients[len(sc.Clients)-1])
	fleet.Limit = sc.Limit
	if only("spread") {
		spread := fleet
		spread.Spread = 8 * time.Second
		if err := sc.with(v, handshakes[0], func(s *System) error {
			return add(RunStorm(v.name+spread8s, s, spread, handshakes))
		}); err != nil {
			return err
		}
	}
	if only("restart") {
		if err := sc.with(v, handshakes[0], func(s *System) error {
			return add(RunRestart(v.name+restarted, s, fleet, handshakes, capacity/2, nil))
		}); err != nil {
			return err
		}
	}
	if only("provider") && v.ours {
		if err := sc.with(v, handshakes[0], func(s *System) error {
			defer sc.Lab.Provider.Pause()()
			return add(RunRestart(v.name+providerDown, s, fleet, handshakes, capacity/2, nil))
		}); err != nil {
			return err
		}
	}
	if only("kill") {
		return sc.with(v.twice(), handshakes[0], func(s *System) error {
			return add(RunKill(v.name+killed, s, fleet, handshakes))
		})
	}
	return nil
}

// patient has servers and clients wait for 10 s: such clients as give up at the server's first PING all the same, and such
// as answer it.
func (sc Scenarios) patient(report *Report, handshakes [][]byte, ours bool) error {
	sc.Lab.AuthTimeout = 10
	defer func() { sc.Lab.AuthTimeout = 0 }()
	fleet := DefaultFleet(sc.Clients[len(sc.Clients)-1])
	fleet.Limit, fleet.Patience = sc.Limit, 10*time.Second
	for _, v := range sc.variants() {
		if v.mute || v.ours && !ours {
			continue
		}
		for _, answers := range []bool{false, true} {
			fleet.AnswersPing = answers
			name := v.name + waits10s
			if fleet.AnswersPing {
				name += answersPing
			}
			if err := sc.with(v, handshakes[0], func(s *System) error {
				return sc.add(report)(RunStorm(name, s, fleet, handshakes))
			}); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	return nil
}

func (sc Scenarios) flood(report *Report, v variant, handshakes [][]byte, capacity, factor float64) error {
	return sc.with(v, handshakes[0], func(s *System) error {
		f, err := RunFlood(v.name, s, handshakes, capacity, factor, sc.Flood)
		if err == nil {
			report.Overloads = append(report.Overloads, f)
			sc.Progress.Print(f.line())
		}
		return err
	})
}

func (s Storm) line() string {
	return fmt.Sprintf("%5d clients  %-60s %5d in, 50 %% %.1f s, 99 %% %.1f s, 100 %% %.1f s, %d attempts, %s wasted, %d lost %v",
		s.Fleet.Clients, s.Name, s.Admitted, s.Seconds[50], s.Seconds[99], s.Seconds[100], s.Attempts, s.wasted(), s.Lost, s.Outcomes)
}

func (s Storm) wasted() string {
	if s.WastedUnknown {
		return "-"
	}
	return strconv.Itoa(s.Wasted)
}

func (f Flood) line() string {
	return fmt.Sprintf("%.1fx  %-60s %.0f/s offered, %.0f/s admitted (%.0f %%), p99 %.0f ms, %d wasted, processors %.2f %v",
		f.Factor, f.Name, f.Offered, f.Goodput, 100*f.Share, f.P99Millis, f.Wasted, f.busy(), f.Outcomes)
}
