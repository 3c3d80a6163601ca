package faults

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
)

// The load: so many logins begin in a second, by so many devices at once, and so many stay connected.
const (
	perSecond = 20
	workers   = 10
	held      = 30
)

// Load is devices that log in, one after the other at a steady pace, each with a fresh token and the behaviour of a default
// client, and a bystander who sees that each may do what it may and nothing else.
type Load struct {
	t         testing.TB
	cluster   *cluster.Cluster
	bystander *nats.Conn
	stop      chan struct{}
	running   sync.WaitGroup
	numbers   atomic.Int64

	// forged counts what reached the bystander under another device's name.
	forged atomic.Int64

	mu       sync.Mutex // guards the rest
	report   Report
	problems []string
	fleet    []*device // those that stay connected, oldest first
}

// Report is what became of the logins of one load.
type Report struct {
	// Tried logins, of which Failed did not succeed at the first attempt, and Lost not at all: the client closed for good, or
	// was not in within cluster.Patience.
	Tried, Failed, Lost int
	// Slowest is the longest time until a login was in, retries included.
	Slowest time.Duration
}

func (r Report) String() string {
	return fmt.Sprintf("%d logins tried, %d failed at the first attempt, %d lost, slowest %v", r.Tried, r.Failed, r.Lost, r.Slowest.Round(time.Millisecond))
}

// device is one client.
type device struct {
	id     string
	nc     *nats.Conn
	closed atomic.Bool // by somebody else than us
	ending atomic.Bool
	dials  atomic.Int64
}

// Dial implements nats.CustomDialer and counts: each attempt to log in is a connection of its own, also where the client
// goes on to another server by itself.
func (d *device) Dial(network, address string) (net.Conn, error) {
	d.dials.Add(1)
	return (&net.Dialer{Timeout: nats.DefaultTimeout}).Dial(network, address)
}

// StartLoad begins at once.
func StartLoad(t testing.TB, c *cluster.Cluster) *Load {
	t.Helper()
	l := &Load{t: t, cluster: c, stop: make(chan struct{})}
	l.bystander = c.Connect(t, c.Platform(t), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if _, err := l.bystander.Subscribe("device-state.*", l.watch); err != nil {
		t.Fatal(err)
	}
	if err := l.bystander.Flush(); err != nil {
		t.Fatal(err)
	}
	starts := make(chan struct{})
	for range workers {
		l.running.Go(func() {
			for range starts {
				l.login()
			}
		})
	}
	l.running.Go(func() {
		defer close(starts)
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				select {
				case starts <- struct{}{}:
				case <-l.stop:
					return
				}
			}
		}
	})
	return l
}

// Stop ends the load when the last login is through, and everybody who had stayed is connected, and returns the report.
func (l *Load) Stop() Report {
	l.t.Helper()
	close(l.stop)
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.fleet {
		if !d.connected(cluster.Patience) {
			l.report.Lost++
			l.problems = append(l.problems, d.id+" was connected and is lost: "+fmt.Sprint(d.nc.LastError()))
		}
		d.end()
	}
	l.fleet = nil
	l.bystander.Close()
	if n := l.forged.Load(); n > 0 {
		l.problems = append(l.problems, fmt.Sprintf("%d messages came under another device's name", n))
	}
	for _, p := range l.problems {
		l.t.Error(p)
	}
	return l.report
}

// watch is the bystander: it answers every state with a command to the device under whose name it came.
func (l *Load) watch(m *nats.Msg) {
	id := strings.TrimPrefix(m.Subject, "device-state.")
	if string(m.Data) != id {
		l.forged.Add(1)
		return
	}
	_ = l.bystander.Publish("device-commands."+id, []byte(id)) // a device that hears nothing says it again
	_ = m.Respond([]byte("noted"))
}

// login is one login from the first attempt to a device that was seen to work.
func (l *Load) login() {
	d := &device{id: fmt.Sprintf("d%d", l.numbers.Add(1))}
	began := time.Now()
	violations := &cluster.Violations{}
	var err error
	d.nc, err = nats.Connect(strings.Join(l.cluster.URLs(), ","),
		nats.Name(d.id), nats.SetCustomDialer(d),
		nats.TokenHandler(func() string { return l.cluster.Issuer.Mint(l.t, "EdDSA", l.cluster.Issuer.AccessToken(d.id)) }),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ClosedHandler(func(*nats.Conn) { d.closed.Store(!d.ending.Load()) }),
		violations.Option(),
	)
	if err != nil {
		l.lost(d, err)
		return
	}
	if !d.connected(cluster.Patience) {
		l.lost(d, d.nc.LastError())
		d.end()
		return
	}
	took, attempts := time.Since(began), d.dials.Load()
	problem := d.check(violations)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Tried++
	l.report.Slowest = max(l.report.Slowest, took)
	if attempts > 1 {
		l.report.Failed++
	}
	if problem != "" {
		l.problems = append(l.problems, d.id+": "+problem)
	}
	l.fleet = append(l.fleet, d)
	if len(l.fleet) > held {
		oldest := l.fleet[0]
		l.fleet = l.fleet[1:]
		if oldest.closed.Load() {
			l.report.Lost++
			l.problems = append(l.problems, oldest.id+" was connected and is lost: "+fmt.Sprint(oldest.nc.LastError()))
		}
		oldest.end()
	}
}

func (l *Load) lost(d *device, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Tried++
	l.report.Failed++
	l.report.Lost++
	l.problems = append(l.problems, fmt.Sprintf("%s is lost: %v", d.id, err))
}

// connected waits until the client is in, at most so long; false when it closed for good.
func (d *device) connected(patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		switch {
		case d.nc.IsConnected():
			return true
		case d.nc.IsClosed(), time.Now().After(deadline):
			return false
		}
	}
}

func (d *device) end() {
	d.ending.Store(true)
	if d.nc != nil {
		d.nc.Close()
	}
}

// check wants everything that the reference grant gives, and nothing of device d0's; it returns what is wrong. The
// connection may break on the way, and is given time to come back.
func (d *device) check(violations *cluster.Violations) string {
	own, err := d.nc.SubscribeSync("device-commands." + d.id)
	if err != nil {
		return err.Error()
	}
	foreign, err := d.nc.SubscribeSync("device-commands.d0")
	if err != nil {
		return err.Error()
	}
	const foreignState, foreignCommands = "device-state.d0", "device-commands.d0"
	answered, commanded := false, false
	for deadline := time.Now().Add(cluster.Patience); ; {
		if !answered || !commanded {
			_, err := d.nc.Request("device-state."+d.id, []byte(d.id), time.Second)
			answered = answered || err == nil
			_, err = own.NextMsg(time.Second)
			commanded = commanded || err == nil
		}
		if !violations.Saw("publish", foreignState) {
			_ = d.nc.Publish(foreignState, []byte(d.id)) // while it is disconnected nothing is refused
		}
		_ = d.nc.FlushTimeout(time.Second)
		refused := violations.Saw("publish", foreignState) && violations.Saw("subscription", foreignCommands)
		switch pending, _, _ := foreign.Pending(); {
		case pending > 0:
			return "it heard another device's command"
		case answered && commanded && refused:
			return ""
		case d.nc.IsClosed():
			return fmt.Sprintf("closed for good: %v", d.nc.LastError())
		case time.Now().After(deadline):
			return fmt.Sprintf("answered %v, commanded %v, refused another's %v", answered, commanded, refused)
		}
	}
}
