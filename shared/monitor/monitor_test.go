package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap/zaptest"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natstest"
)

var about = monitor.About{Service: "sample", Version: "1.2.3", ConfigHash: "beef"}

func newMonitor(t *testing.T, checks []monitor.Check, own ...prometheus.Collector) *monitor.Monitor {
	t.Helper()
	m, err := monitor.New(about, zaptest.NewLogger(t), checks, own...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestReady(t *testing.T) {
	var broken atomic.Pointer[error]
	m := newMonitor(t, []monitor.Check{
		{Name: "first", Do: func(context.Context) error { return nil }},
		{Name: "second", Do: func(context.Context) error {
			if err := broken.Load(); err != nil {
				return *err
			}
			return nil
		}},
	})
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")

	if code, body := get(t, srv.URL+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	code, body := get(t, srv.URL+"/readyz")
	want := `{"service":"sample","version":"1.2.3","ready":true,"checks":[{"name":"running","ok":true},{"name":"first","ok":true},{"name":"second","ok":true}]}` + "\n"
	if code != http.StatusOK || body != want {
		t.Errorf("readyz: %d %s", code, body)
	}
	if err := monitor.Ask(t.Context(), address, false); err != nil {
		t.Error(err)
	}

	err := errors.New("the provider is on holiday")
	broken.Store(&err)
	natstest.Eventually(t, "not ready", func() bool { code, body = get(t, srv.URL+"/readyz"); return code == http.StatusServiceUnavailable })
	if !strings.Contains(body, `{"name":"second","ok":false,"error":"the provider is on holiday"}`) {
		t.Error(body)
	}
	if err := monitor.Ask(t.Context(), address, false); err == nil || err.Error() != "not ready: second: the provider is on holiday" {
		t.Errorf("asked: %v", err)
	}
	if err := monitor.Ask(t.Context(), address, true); err != nil {
		t.Errorf("asked whether it lives: %v", err)
	}

	broken.Store(nil)
	natstest.Eventually(t, "ready again", func() bool { return m.Ready().Ready })
	m.Drain()
	natstest.Eventually(t, "not ready while it drains", func() bool { return !m.Ready().Ready })
	if s := m.Ready().String(); s != "running: the process was asked to stop" {
		t.Error(s)
	}
	if code, _ := get(t, srv.URL+"/healthz"); code != http.StatusOK {
		t.Errorf("healthz while it drains: %d", code)
	}
}

// A check that hangs or panics makes the process not ready, and no more than that; and however many ask, checks run one
// look at a time.
func TestChecksAreContained(t *testing.T) {
	var running, most atomic.Int32
	m := newMonitor(t, []monitor.Check{
		{Name: "hangs", Do: func(ctx context.Context) error {
			now := running.Add(1)
			defer running.Add(-1)
			most.Store(max(most.Load(), now))
			<-ctx.Done()
			return ctx.Err()
		}},
		{Name: "panics", Do: func(context.Context) error { panic("oh") }},
	})
	answers := make(chan *monitor.Readiness, 8)
	for range cap(answers) {
		go func() { answers <- m.Ready() }()
	}
	for range cap(answers) {
		r := <-answers
		if r.Ready || r.Checks[1].OK || r.Checks[2].Error != "panic: oh" {
			t.Errorf("%+v", r)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d looks at once", most.Load())
	}
}

func TestMetrics(t *testing.T) {
	size := monitor.NewMetric(monitor.Gauge, "authcallout_sample_size", "The size.", monitor.Label{Name: "of", Values: "a, b"})
	m := newMonitor(t, nil, monitor.Families{Metrics: []*monitor.Metric{size}, Values: func(out chan<- prometheus.Metric) {
		out <- size.Value(7, "a")
	}})
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	code, body := get(t, srv.URL+"/metrics")
	if code != http.StatusOK {
		t.Fatal(code, body)
	}
	for _, line := range []string{
		`authcallout_sample_size{of="a",service="sample"} 7`,
		`authcallout_config_info{hash="beef",service="sample"} 1`,
		`authcallout_ready{service="sample"} 1`,
		`authcallout_ready_check{check="running",service="sample"} 1`,
		"go_goroutines ",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("%s is missing in\n%s", line, body)
		}
	}
	if problems, err := testutil.GatherAndLint(m.Gather()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// A sample whose labels do not fit fails the scrape loudly; it does not take the process with it.
func TestWrongLabels(t *testing.T) {
	size := monitor.NewMetric(monitor.Gauge, "authcallout_sample_size", "The size.")
	m := newMonitor(t, nil, monitor.Families{Metrics: []*monitor.Metric{size}, Values: func(out chan<- prometheus.Metric) {
		out <- size.Value(7, "too much")
	}})
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	if code, _ := get(t, srv.URL+"/metrics"); code != http.StatusInternalServerError {
		t.Error(code)
	}
}

func TestStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	m := newMonitor(t, nil)
	if _, err := m.Start(monitor.Config{Listen: address}); err == nil || !strings.Contains(err.Error(), "monitor.listen") {
		t.Errorf("a port in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop, err := m.Start(monitor.Config{Listen: address})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	for _, listen := range []string{address, "localhost:" + port} {
		if err := monitor.Ask(t.Context(), listen, false); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	stop()
	if err := monitor.Ask(t.Context(), address, true); err == nil {
		t.Error("it listens after stop")
	}
	if stop, err := m.Start(monitor.Config{}); err != nil {
		t.Error(err)
	} else {
		stop()
	}
}

// TestProfiles: they are there exactly when they were asked for, beside the rest, and only on a loopback address.
func TestProfiles(t *testing.T) {
	for _, profiles := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		stop, err := newMonitor(t, nil).Start(monitor.Config{Listen: address, Profiles: profiles})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		want := map[bool]int{false: http.StatusNotFound, true: http.StatusOK}[profiles]
		for _, path := range []string{"/debug/pprof/heap", "/debug/pprof/mutex", "/debug/pprof/profile?seconds=1"} {
			if got, _ := get(t, "http://"+address+path); got != want {
				t.Errorf("profiles %v, %s: %d, want %d", profiles, path, got, want)
			}
		}
		if got, _ := get(t, "http://"+address+"/readyz"); got != http.StatusOK {
			t.Errorf("readyz: %d", got)
		}
	}
	for listen, good := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "": false, ":1": false, "0.0.0.0:1": false, "192.0.2.1:1": false} {
		r := &config.Report{}
		monitor.Config{Listen: listen, Profiles: true}.Check("monitor", r)
		if (len(r.Problems()) == 0) != good {
			t.Errorf("%q: %v", listen, r.Problems())
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for listen, problem := range map[string]string{
		"": "", "127.0.0.1:9141": "", ":9141": "", "[::1]:0": "", "metrics.internal:9141": "",
		"9141": "is not HOST:PORT", "127.0.0.1:x": "is not a port", "127.0.0.1:70000": "is not a port", "http://a:1": "is not HOST:PORT", "a/b:1": "is not a host",
	} {
		r := &config.Report{}
		monitor.Config{Listen: listen}.Check("monitor", r)
		got := fmt.Sprint(r.Problems())
		if (problem == "") != (len(r.Problems()) == 0) || !strings.Contains(got, problem) {
			t.Errorf("%q: %s, want %q", listen, got, problem)
		}
	}
}

// A neighbour is there when one of its replicas is ready, whatever the others say.
func TestNeighbour(t *testing.T) {
	s := natstest.Run(t, "")
	nc := natstest.Connect(t, s)
	answer := func(data string) *nats.Subscription {
		sub, err := nc.Subscribe("ready.it", func(m *nats.Msg) { _ = m.Respond([]byte(data)) })
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	ask := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := monitor.Neighbour(nc, "it", "ready.it").Do(ctx); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := ask(); got != "no replica serves" {
		t.Error(got)
	}
	silent, err := nc.SubscribeSync("ready.it")
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "no replica answers" {
		t.Error(got)
	}
	_ = silent.Unsubscribe()
	notReady, err := json.Marshal(monitor.Readiness{Checks: []monitor.Result{{Name: "keys", Error: "none yet"}}})
	if err != nil {
		t.Fatal(err)
	}
	answer(string(notReady))
	if got := ask(); got != "no replica is ready: keys: none yet" {
		t.Error(got)
	}
	answer(`{"ready":true}`)
	if got := ask(); got != "" {
		t.Error(got)
	}
}
