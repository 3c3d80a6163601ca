package faults_test

import (
	"sync"
	"testing"
	"time"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/faults"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// site is a running system with its weak points.
type site struct {
	*cluster.Cluster
	// network is between tokencheck and the servers.
	network *proxies
}

// proxies are made while the replicas are.
type proxies struct {
	mu  sync.Mutex
	all []*cluster.Proxy
}

func (p *proxies) each(do func(*cluster.Proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.all {
		do(x)
	}
}

// replicas of each service: what one cannot do the other must.
const replicas = 2

func start(t *testing.T, shape cluster.Shape) *site {
	t.Helper()
	s := &site{network: &proxies{}}
	s.Cluster = cluster.Start(t, cluster.Options{
		Shape: shape, Processes: true, ServerProcesses: true, Replicas: replicas, Issuer: oidctest.New(t, "EdDSA"),
		Reach: func(service string, _ int, urls []string) []string {
			if service != wire.QueueTokencheck {
				return urls
			}
			var through []string
			for _, url := range urls {
				p := cluster.NewProxy(t, url)
				s.network.mu.Lock()
				s.network.all = append(s.network.all, p)
				s.network.mu.Unlock()
				through = append(through, p.URL())
			}
			return through
		},
	})
	return s
}

// Before and after a fault the load runs for so long.
const (
	before = 500 * time.Millisecond
	after  = 1500 * time.Millisecond
)

// mayFail says that a fault costs some logins their first attempt. Nobody may be lost, whatever happens.
const mayFail = -1

// fault is something that happens to a system under load.
type fault struct {
	name string
	// most logins that may fail at the first attempt.
	most int
	// servers is how many it takes.
	servers int
	do      func(t *testing.T, s *site)
}

var all = []fault{
	{name: "kill -9 of a tokencheck", do: kill(wire.QueueTokencheck)},
	{name: "kill -9 of a policy", do: kill(wire.QueuePolicy)},
	{name: "kill -9 of a callout", most: inItsHands, do: kill(wire.QueueCallout)},
	{name: "rolling restart", do: rollingRestart},
	{name: "a tokencheck hangs for 5 s", most: mayFail, do: hang(wire.QueueTokencheck)},
	{name: "a policy hangs for 5 s", most: mayFail, do: hang(wire.QueuePolicy)},
	{name: "a callout hangs for 5 s", most: mayFail, do: hang(wire.QueueCallout)},
	{name: "tokencheck is cut off for 10 s", most: mayFail, do: cutOff},
	{name: "a nats-server restarts", most: mayFail, do: restartServer},
	{name: "one of three servers is killed", most: mayFail, servers: 3, do: killServer},
}

// inItsHands is the most requests that a callout can have when it dies: as many as there are devices that log in at once.
const inItsHands = 10

func kill(service string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		r := s.Replicas(service)[0]
		r.Kill(t)
		time.Sleep(after)
		r.Start(t)
		s.WaitServing(t)
	}
}

func rollingRestart(t *testing.T, s *site) {
	for _, service := range cluster.Services() {
		for _, r := range s.Replicas(service) {
			if err := r.Stop(); err != nil {
				t.Errorf("%s-%d: %v", service, r.Index+1, err)
			}
			r.Start(t)
			s.WaitServing(t)
		}
	}
}

func hang(service string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		r := s.Replicas(service)[0]
		r.Pause(t)
		time.Sleep(5 * time.Second)
		r.Resume(t)
	}
}

func cutOff(_ *testing.T, s *site) {
	s.network.each((*cluster.Proxy).Cut)
	time.Sleep(10 * time.Second)
	s.network.each((*cluster.Proxy).Mend)
}

func restartServer(t *testing.T, s *site) {
	s.Servers[0].Stop()
	time.Sleep(time.Second)
	s.Servers[0].Start(t)
	s.WaitRoutes(t)
	s.WaitServing(t)
}

func killServer(t *testing.T, s *site) {
	s.Servers[1].Stop()
	time.Sleep(3 * time.Second)
	s.Servers[1].Start(t)
	s.WaitRoutes(t)
}

// tries of one fault. On a machine that stands still for a second a login fails by itself; what is wrong with the system
// shows in every try.
const tries = 3

// TestFaults has every fault happen to every shape. What is counted is in the log of the test (-v).
func TestFaults(t *testing.T) {
	for _, shape := range []cluster.Shape{cluster.Reference(), cluster.Sealed(), cluster.Three()} {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			s := start(t, shape)
			for _, f := range all {
				if shape.Servers < f.servers {
					continue
				}
				t.Run(f.name, func(t *testing.T) { happen(t, s, f) })
			}
		})
	}
}

// happen has f happen under load until few enough logins failed.
func happen(t *testing.T, s *site, f fault) {
	for n := range tries {
		l := faults.StartLoad(t, s.Cluster)
		time.Sleep(before)
		f.do(t, s)
		time.Sleep(after)
		report := l.Stop()
		t.Logf("%s: %v", f.name, report)
		if report.Tried == 0 {
			t.Fatal("nobody logged in")
		}
		if f.most == mayFail || report.Failed <= f.most || t.Failed() {
			return
		}
		if n == tries-1 {
			t.Errorf("%d logins failed at the first attempt, at most %d may", report.Failed, f.most)
		}
	}
}
