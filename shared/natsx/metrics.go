package natsx

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/wire"
)

var (
	labelEndpoint  = monitor.Label{Name: "endpoint", Values: "the service's endpoints, as in `nats micro info`"}
	labelNeighbour = monitor.Label{Name: "neighbour", Values: "the services that this one calls"}

	labelConnection  = monitor.Label{Name: "connection", Values: "its name in nats-server's listings: the service's, callout-aside for the callout's second"}
	metricConnected  = monitor.NewMetric(monitor.Gauge, "authcallout_nats_connected", "1 while the connection to NATS is up, else 0.", labelConnection)
	metricReconnects = monitor.NewMetric(monitor.Counter, "authcallout_nats_reconnects_total", "How often the connection to NATS came back.", labelConnection)
	metricRequests   = monitor.NewMetric(monitor.Counter, "authcallout_requests_total",
		"Requests that ended, by what became of them: handled, or given up before that because there were too many (overloaded) or their time would not have sufficed (out_of_time).",
		labelEndpoint, monitor.Label{Name: "result", Values: "handled, overloaded, out_of_time"})
	metricHandling = monitor.NewMetric(monitor.Counter, "authcallout_handler_seconds_total",
		"Time spent in handlers, in seconds; divided by the handled requests it is their mean time.", labelEndpoint)
	metricRunning = monitor.NewMetric(monitor.Gauge, "authcallout_requests_running", "Requests that are worked on.", labelEndpoint)
	metricWaiting = monitor.NewMetric(monitor.Gauge, "authcallout_requests_waiting", "Requests that wait for their turn.", labelEndpoint)
	metricLimit   = monitor.NewMetric(monitor.Gauge, "authcallout_requests_limit",
		"How many requests may be worked on at once; it follows what handlers experience, up to max_in_flight.", labelEndpoint)
	metricDropped = monitor.NewMetric(monitor.Counter, "authcallout_requests_dropped_total",
		"Requests that were dropped unseen because they arrived faster than they could be taken in.", labelEndpoint)
	metricCalls   = monitor.NewMetric(monitor.Counter, "authcallout_calls_total", "Requests to another service, further attempts not counted.", labelNeighbour)
	metricRetries = monitor.NewMetric(monitor.Counter, "authcallout_call_retries_total",
		"Further attempts of such a request: no answer came in time, a replica was in trouble, or nobody listened.", labelNeighbour)
)

// Metrics are the families of connections.
func Metrics() []*monitor.Metric {
	return []*monitor.Metric{
		metricConnected, metricReconnects, metricRequests, metricHandling, metricRunning, metricWaiting, metricLimit, metricDropped,
		metricCalls, metricRetries,
	}
}

// Collector exports connections of different names and everything that is served and called on them, no endpoint and no neighbour on
// more than one.
func Collector(conns ...*Conn) prometheus.Collector {
	return monitor.Families{Metrics: Metrics(), Values: func(out chan<- prometheus.Metric) {
		for _, c := range conns {
			c.collect(out)
		}
	}}
}

func (c *Conn) collect(out chan<- prometheus.Metric) {
	out <- metricConnected.Value(monitor.Flag(c.IsConnected()), c.Opts.Name)
	out <- metricReconnects.Value(float64(c.Stats().Reconnects), c.Opts.Name)
	c.meter.mu.Lock()
	defer c.meter.mu.Unlock()
	for name, l := range c.meter.loads() {
		out <- metricRequests.Value(float64(l.handled), name, "handled")
		out <- metricRequests.Value(float64(l.overloaded), name, wire.Overloaded.String())
		out <- metricRequests.Value(float64(l.outOfTime), name, wire.OutOfTime.String())
		out <- metricHandling.Value(l.took.Seconds(), name)
		out <- metricRunning.Value(float64(l.running), name)
		out <- metricWaiting.Value(float64(l.waiting), name)
		out <- metricLimit.Value(float64(l.limit), name)
		out <- metricDropped.Value(float64(l.dropped), name)
	}
	for _, caller := range c.meter.callers {
		out <- metricCalls.Value(float64(caller.calls.Load()), caller.options.Neighbour)
		out <- metricRetries.Value(float64(caller.again.Load()), caller.options.Neighbour)
	}
}

// total is what an endpoint did and does, over all its registrations on one connection.
type total struct {
	handled, overloaded, outOfTime, dropped uint64
	took                                    time.Duration
	running, waiting, limit                 int
}

// meter knows what is served and called on a connection.
type meter struct {
	mu      sync.Mutex // guards the rest, held for one change or one scrape
	live    []*endpoint
	ended   map[string]total // of endpoints that are drained, so that no counter goes back
	callers []*Caller
}

func (m *meter) serves(e *endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = append(m.live, e)
}

func (m *meter) serving() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live) > 0
}

func (m *meter) drained(e *endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.live, e)
	if i < 0 {
		return
	}
	m.live = slices.Delete(m.live, i, i+1)
	if m.ended == nil {
		m.ended = map[string]total{}
	}
	sum := m.ended[e.name]
	sum.add(e)
	sum.running, sum.waiting, sum.limit = 0, 0, 0
	m.ended[e.name] = sum
}

func (m *meter) calls(c *Caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.callers = append(m.callers, c)
}

// loads sums up by endpoint. m.mu is held.
func (m *meter) loads() map[string]total {
	all := maps.Clone(m.ended)
	if all == nil {
		all = map[string]total{}
	}
	for _, e := range m.live {
		sum := all[e.name]
		sum.add(e)
		all[e.name] = sum
	}
	return all
}

func (t *total) add(e *endpoint) {
	l := e.load()
	t.handled += l.Handled
	t.overloaded += l.Overloaded
	t.outOfTime += l.OutOfTime
	t.took += time.Duration(e.tally.nanoseconds.Load())
	t.running += l.Running
	t.waiting += l.Waiting
	t.limit += l.Limit
	t.dropped += e.dropped()
}

// dropped is how many messages nats.go dropped before the endpoint saw them. A subscription that has ended no longer says it:
// then it is as of the last look.
func (e *endpoint) dropped() uint64 {
	n, err := e.subscription.Load().Dropped() // an error for one that ended, or is not known yet
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && n > 0 {
		e.lost = max(e.lost, uint64(n))
	}
	return e.lost
}
