package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fleet is how the clients of a storm behave.
type Fleet struct {
	Clients int `json:"clients"`
	Client
	// Wait and Jitter are the pause between attempts: nats.go's defaults are a patience of 2 s, 2 s and 100 ms.
	Wait   time.Duration `json:"wait_ns"`
	Jitter time.Duration `json:"jitter_ns"`
	// Spread is the time over which the first attempts are spread at random.
	Spread time.Duration `json:"spread_ns"`
	// Limit ends the storm whatever has become of it.
	Limit time.Duration `json:"limit_ns"`
}

// DefaultFleet behaves as clients of nats.go with default options that are told to reconnect.
func DefaultFleet(clients int) Fleet {
	return Fleet{Clients: clients, Client: Client{Patience: 2 * time.Second}, Wait: 2 * time.Second, Jitter: 100 * time.Millisecond, Limit: time.Minute}
}

// Storm is what became of a fleet that came all at once. Times are seconds from the start; 0 for a share that was never
// reached.
type Storm struct {
	Name     string          `json:"name"`
	Fleet    Fleet           `json:"fleet"`
	Admitted int             `json:"admitted"`
	Seconds  map[int]float64 `json:"seconds_to_percent"`
	Attempts int             `json:"attempts"`
	Outcomes map[string]int  `json:"outcomes"`
	// Wasted is how many admissions the callout answered for clients that had given up. WastedUnknown says that nobody can tell, because
	// a callout that answered was killed.
	Wasted        int  `json:"wasted"`
	WastedUnknown bool `json:"wasted_unknown,omitempty"`
	// Lost clients saw two authorization errors in a row, after which a default client closes for good.
	Lost int `json:"lost"`
	// PerBucket are the admissions in each stormBucket.
	PerBucket []int              `json:"admitted_per_quarter_second"`
	CPU       map[string]float64 `json:"cpu_seconds"`
}

// stormBucket is the resolution of goodput over time.
const stormBucket = 250 * time.Millisecond

// RunStorm lets the fleet loose on s and waits until all are in or the limit has passed.
func RunStorm(name string, s *System, fleet Fleet, handshakes [][]byte) (Storm, error) {
	st := &storming{fleet: fleet, addr: s.Addr}
	defer st.hangUp()
	return st.measure(name, s, func() error {
		st.run(handshakes)
		return nil
	})
}

// RunRestart has the fleet connected, kills the server, starts it again, and waits until all are back. The clients notice
// at once and begin with a pause, as default clients do. meanwhile, if any, runs while the server is down.
func RunRestart(name string, s *System, fleet Fleet, handshakes [][]byte, perSecond float64, meanwhile func()) (Storm, error) {
	calm := fleet
	calm.Spread = time.Duration(float64(fleet.Clients) / perSecond * float64(time.Second))
	first := &storming{fleet: calm, addr: s.Addr, began: time.Now()}
	first.run(handshakes)
	if len(first.admitted) != fleet.Clients {
		first.hangUp()
		return Storm{}, fmt.Errorf("%s: %d of %d came in before the restart", name, len(first.admitted), fleet.Clients)
	}
	st := &storming{fleet: fleet, addr: s.Addr}
	defer st.hangUp()
	return st.measure(name, s, func() error {
		var all sync.WaitGroup
		for i, conn := range first.open {
			all.Go(func() {
				_, _ = io.Copy(io.Discard, conn) // until the server is gone
				hangUp(conn)
				st.pause()
				st.client(handshakes[i%len(handshakes)])
			})
		}
		s.KillServer()
		if meanwhile != nil {
			meanwhile()
		}
		err := s.startServer()
		all.Wait()
		return err
	})
}

// When one copy of each service is killed in a storm, and how long it is away.
const (
	killAfter = time.Second
	awayFor   = time.Second
)

// RunKill lets the fleet loose on s, kills one copy of each service while it comes, and starts them again a little later, as a supervisor
// does. It fails when everybody was in before that.
func RunKill(name string, s *System, fleet Fleet, handshakes [][]byte) (Storm, error) {
	st := &storming{fleet: fleet, addr: s.Addr}
	defer st.hangUp()
	return st.measure(name, s, func() error {
		stormed := make(chan struct{})
		go func() {
			defer close(stormed)
			st.run(handshakes)
		}()
		select {
		case <-stormed:
			return fmt.Errorf("%s: all were in after %v; take more clients", name, time.Since(st.began))
		case <-time.After(killAfter):
		}
		st.crashed = true
		gone, again, err := s.crash()
		if err != nil {
			return err
		}
		st.gone = gone
		time.Sleep(awayFor)
		err = again()
		<-stormed
		return err
	})
}

// measure runs do as the storm's duration and reports what became of it.
func (st *storming) measure(name string, s *System, do func() error) (Storm, error) {
	before, err := s.Answered()
	if err != nil {
		return Storm{}, err
	}
	used, err := cpuOf(s.processes)
	if err != nil {
		return Storm{}, err
	}
	st.began = time.Now()
	if err := do(); err != nil {
		return Storm{}, err
	}
	return st.report(name, s, before, used)
}

// storming is a storm under way.
type storming struct {
	fleet Fleet
	addr  string
	began time.Time

	counts [outcomes]atomic.Int64
	lost   atomic.Int64

	// crashed says that processes were killed, and gone is the CPU time that they had used, by role.
	crashed bool
	gone    map[string]time.Duration

	mu       sync.Mutex
	admitted []time.Duration
	open     []*net.TCPConn
}

func (st *storming) run(handshakes [][]byte) {
	var all sync.WaitGroup
	for i := range st.fleet.Clients {
		all.Go(func() {
			if st.fleet.Spread > 0 {
				time.Sleep(rand.N(st.fleet.Spread)) //nolint:gosec // not a secret
			}
			st.client(handshakes[i%len(handshakes)])
		})
	}
	all.Wait()
}

// client tries until it is in, lost, or out of time. Two equal authorization errors in a row from one server end a default
// client of nats.go.
func (st *storming) client(handshake []byte) {
	refusals := 0
	for time.Since(st.began) < st.fleet.Limit {
		outcome, conn := st.fleet.connect(st.addr, handshake)
		st.counts[outcome].Add(1)
		switch outcome {
		case Admitted:
			st.mu.Lock()
			st.admitted = append(st.admitted, time.Since(st.began))
			st.open = append(st.open, conn)
			st.mu.Unlock()
			return
		case Refused:
			if refusals++; refusals == 2 {
				st.lost.Add(1)
				return
			}
		default:
			// A default client remembers the error of the last authorization failure over other failures.
		}
		st.pause()
	}
}

// pause is the time between two attempts.
func (st *storming) pause() {
	time.Sleep(st.fleet.Wait + rand.N(st.fleet.Jitter+1)) //nolint:gosec // not a secret
}

func (st *storming) report(name string, s *System, before int64, used map[string]time.Duration) (Storm, error) {
	r := Storm{Name: name, Fleet: st.fleet, Admitted: len(st.admitted), Lost: int(st.lost.Load()), Seconds: make(map[int]float64), Outcomes: make(map[string]int), CPU: make(map[string]float64)}
	for o := range st.counts {
		n := int(st.counts[o].Load())
		r.Attempts += n
		if n > 0 {
			r.Outcomes[Outcome(o).String()] = n
		}
	}
	slices.Sort(st.admitted)
	for _, percent := range []int{50, 95, 99, 100} {
		if need := (st.fleet.Clients*percent + 99) / 100; need > 0 && need <= len(st.admitted) {
			r.Seconds[percent] = st.admitted[need-1].Seconds()
		}
	}
	for _, at := range st.admitted {
		bucket := int(at / stormBucket)
		for len(r.PerBucket) <= bucket {
			r.PerBucket = append(r.PerBucket, 0)
		}
		r.PerBucket[bucket]++
	}
	after, err := cpuOf(s.processes)
	if err != nil {
		return r, err
	}
	for role, d := range after {
		r.CPU[role] = max(0, (d + st.gone[role] - used[role]).Seconds()) // a server that was restarted began anew
	}
	time.Sleep(settle)
	answered, err := s.Answered()
	if err != nil {
		return r, err
	}
	if r.WastedUnknown = st.crashed; s.answered != nil && !st.crashed {
		r.Wasted = max(0, int(answered-before)-r.Admitted)
	}
	return r, nil
}

func (st *storming) hangUp() {
	for _, conn := range st.open {
		hangUp(conn)
	}
}
