package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Replica is one copy of a service. Its methods are for one goroutine.
type Replica struct {
	Service string
	Index   int

	cluster *Cluster
	file    string
	log     *Log
	life    life
}

// life is one run of a replica.
type life interface {
	// stop asks it to end and returns how it ended.
	stop() error
	// ended is closed when it no longer runs.
	ended() <-chan struct{}
}

func (c *Cluster) startReplica(t testing.TB, service string, n int) *Replica {
	t.Helper()
	name := fmt.Sprintf("%s-%d.yaml", service, n+1)
	r := &Replica{Service: service, Index: n, cluster: c, log: &Log{}}
	r.file = c.write(t, name, c.configuration(service, n))
	r.Start(t)
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("%s-%d: %v", service, n+1, err)
		}
		if t.Failed() {
			t.Logf("%s-%d logged:\n%s", service, n+1, r.log.Tail(60))
		}
	})
	return r
}

// Start starts a replica that does not run.
func (r *Replica) Start(t testing.TB) {
	t.Helper()
	if r.cluster.options.Processes {
		cmd := exec.Command(Binary(t, r.Service), "-config", r.file) //nolint:gosec // a program that the harness built
		cmd.Env = append(os.Environ(), r.cluster.options.Environment...)
		r.life = startProcess(t, cmd, r.log)
		return
	}
	var now func() time.Time
	if r.cluster.options.Clock != nil {
		now = r.cluster.options.Clock(r.Service, r.Index)
	}
	var tracer *trace.Tracer
	if r.cluster.options.Trace != nil {
		tracer = r.cluster.options.Trace(r.Service)
	}
	r.life = startInside(t, r.Service, r.file, r.log, now, tracer)
}

// Stop asks the replica to drain, waits until it has ended, and returns an error when it did not end well. A replica
// that does not run is left alone.
func (r *Replica) Stop() error {
	if r.life == nil {
		return nil
	}
	err := r.life.stop()
	r.life = nil
	return err
}

// Kill ends a process at once (SIGKILL).
func (r *Replica) Kill(t testing.TB) {
	t.Helper()
	r.signal(t, syscall.SIGKILL)
	<-r.life.ended()
	r.life = nil
}

// Pause stops a process from running (SIGSTOP): it hangs, and its connections stay.
func (r *Replica) Pause(t testing.TB) { t.Helper(); r.signal(t, syscall.SIGSTOP) }

// Resume lets a paused process run (SIGCONT).
func (r *Replica) Resume(t testing.TB) { t.Helper(); r.signal(t, syscall.SIGCONT) }

// Hangup sends a process SIGHUP.
func (r *Replica) Hangup(t testing.TB) { t.Helper(); r.signal(t, syscall.SIGHUP) }

func (r *Replica) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	p, ok := r.life.(*process)
	if !ok {
		t.Fatalf("%s-%d is not a process", r.Service, r.Index+1)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Log is what the replica wrote, in all its runs.
func (r *Replica) Log() *Log { return r.log }

// WaitServing returns when every replica that runs answers with its endpoint.
func (c *Cluster) WaitServing(t testing.TB) {
	t.Helper()
	nc := c.Connect(t, c.Operator(t))
	defer nc.Close()
	for _, service := range Services() {
		want := 0
		for _, r := range c.replicas[service] {
			if r.life != nil {
				want++
			}
		}
		Eventually(t, fmt.Sprintf("%d %s serve", want, service), func() bool {
			for _, r := range c.replicas[service] {
				if r.life != nil {
					select {
					case <-r.life.ended():
						t.Fatalf("%s-%d has ended:\n%s", service, r.Index+1, r.log.Tail(20))
					default:
					}
				}
			}
			return len(c.Infos(t, nc, service, want)) == want
		})
	}
}

// Infos asks the replicas of a service who they are and returns the answers of those that serve their endpoint: want, or
// fewer when that is all that answer in time.
func (c *Cluster) Infos(t testing.TB, nc *nats.Conn, service string, want int) map[string]micro.Info {
	t.Helper()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed by then
	if err := nc.PublishRequest("$SRV.INFO."+service, sub.Subject, nil); err != nil {
		t.Fatal(err)
	}
	all := map[string]micro.Info{}
	for len(all) < want {
		m, err := sub.NextMsg(250 * time.Millisecond)
		if err != nil {
			break
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err == nil && len(info.Endpoints) > 0 {
			all[info.ID] = info
		}
	}
	return all
}

// inside is a service in the test's process.
type inside struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

func (l *inside) stop() error {
	l.cancel()
	<-l.done
	return l.err
}

func (l *inside) ended() <-chan struct{} { return l.done }

// startInside does what the process does: reads the file, makes the service, runs it.
func startInside(t testing.TB, service, file string, out *Log, now func() time.Time, tracer *trace.Tracer) life {
	t.Helper()
	var build func(*zap.Logger) (interface{ Run(context.Context) error }, error)
	var cfg config.Checker
	const version = "0.0.1"
	switch service {
	case wire.QueueCallout:
		c := &callout.Config{}
		cfg = c
		build = func(log *zap.Logger) (interface{ Run(context.Context) error }, error) {
			return callout.New(c, callout.Deps{Log: log, Version: version, Now: now, Trace: tracer})
		}
	case wire.QueueTokencheck:
		c := &tokencheck.Config{}
		cfg = c
		build = func(log *zap.Logger) (interface{ Run(context.Context) error }, error) {
			return tokencheck.New(c, tokencheck.Deps{Log: log, Version: version, Now: now, Trace: tracer})
		}
	default:
		c := &policy.Config{}
		cfg = c
		build = func(log *zap.Logger) (interface{ Run(context.Context) error }, error) {
			return policy.New(c, policy.Deps{Log: log, Version: version, Trace: tracer})
		}
	}
	if _, err := config.Load(file, cfg); err != nil {
		t.Fatal(err)
	}
	log, err := logx.NewTo(out, logx.Config{Format: "json", Level: "debug"}, service, version)
	if err != nil {
		t.Fatal(err)
	}
	s, err := build(log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &inside{cancel: cancel, done: newDone()}
	go func() {
		defer close(l.done)
		l.err = s.Run(ctx)
	}()
	return l
}

func newDone() chan struct{} { return make(chan struct{}) }

// Dir returns the directory of the services' configuration.
func (c *Cluster) Dir() string { return c.dir }

// RulesFile is what every policy replica watches.
func (c *Cluster) RulesFile() string { return filepath.Join(c.dir, "rules.yaml") }
