package bench

import (
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
	// Patience is the connect timeout, Wait and Jitter the pause between attempts: nats.go's defaults are 2 s, 2 s and 100 ms.
	Patience time.Duration `json:"patience_ns"`
	Wait     time.Duration `json:"wait_ns"`
	Jitter   time.Duration `json:"jitter_ns"`
	// Spread is the time over which the first attempts are spread at random.
	Spread time.Duration `json:"spread_ns"`
	// Limit ends the storm whatever has become of it.
	Limit time.Duration `json:"limit_ns"`
}

// DefaultFleet behaves as clients of nats.go with default options that are told to reconnect.
func DefaultFleet(clients int) Fleet {
	return Fleet{Clients: clients, Patience: 2 * time.Second, Wait: 2 * time.Second, Jitter: 100 * time.Millisecond, Limit: time.Minute}
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
	// Wasted is how many admissions the callout answered for clients that had given up.
	Wasted int `json:"wasted"`
	// Lost clients saw two authorization errors in a row, after which a default client closes for good.
	Lost int `json:"lost"`
	// PerBucket are the admissions in each stormBucket.
	PerBucket []int              `json:"admitted_per_quarter_second"`
	CPU       map[string]float64 `json:"cpu_seconds"`
}

// stormBucket is the resolution of goodput over time.
const stormBucket = 250 * time.Millisecond

// RunStorm lets the fleet loose on s and waits until all are in or the limit has passed. before is how many requests the
// callout had answered. start is what begins the storm; nil for just the coming of the clients.
func RunStorm(name string, s *System, fleet Fleet, handshakes [][]byte) (Storm, error) {
	before, err := s.Answered()
	if err != nil {
		return Storm{}, err
	}
	used, err := cpuOf(s.processes)
	if err != nil {
		return Storm{}, err
	}
	st := &storming{fleet: fleet, addr: s.Addr, began: time.Now()}
	st.run(handshakes)
	return st.report(name, s, before, used)
}

// storming is a storm under way.
type storming struct {
	fleet Fleet
	addr  string
	began time.Time

	counts [outcomes]atomic.Int64
	lost   atomic.Int64

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
		outcome, conn := attempt(st.addr, handshake, st.fleet.Patience)
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
		time.Sleep(st.fleet.Wait + rand.N(st.fleet.Jitter+1)) //nolint:gosec // not a secret
	}
}

func (st *storming) report(name string, s *System, before int64, used map[string]time.Duration) (Storm, error) {
	defer st.hangUp()
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
		r.CPU[role] = (d - used[role]).Seconds()
	}
	time.Sleep(settle)
	answered, err := s.Answered()
	if err != nil {
		return r, err
	}
	if s.answered != nil {
		r.Wasted = max(0, int(answered-before)-r.Admitted)
	}
	return r, nil
}

func (st *storming) hangUp() {
	for _, conn := range st.open {
		hangUp(conn)
	}
}
