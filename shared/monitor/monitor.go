package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Monitor is what one process shows. Safe for concurrent use.
type Monitor struct {
	registry *prometheus.Registry
	own      prometheus.Registerer // adds LabelService
	ready    readiness
	draining atomic.Bool
	log      *zap.Logger
}

// About names a process.
type About struct {
	Service    string
	Version    string
	ConfigHash string
}

// New returns a Monitor with the metrics that every process exports, and those of collectors. It is ready while all checks
// hold. It fails when two metrics are in each other's way, which is a fault of the program.
func New(about About, log *zap.Logger, checks []Check, own ...prometheus.Collector) (*Monitor, error) {
	m := &Monitor{registry: prometheus.NewRegistry(), log: log}
	m.own = prometheus.WrapRegistererWith(prometheus.Labels{LabelService: about.Service}, m.registry)
	m.ready = readiness{service: about.Service, version: about.Version}
	m.ready.checks = append([]Check{{Name: "running", Do: m.checkRunning}}, checks...)
	own = append(own, Families{Metrics: Metrics(), Values: func(out chan<- prometheus.Metric) {
		out <- metricBuild.Value(1, about.Version, goVersion())
		out <- metricConfig.Value(1, about.ConfigHash)
		state := m.Ready()
		out <- metricReady.Value(Flag(state.Ready))
		for _, c := range state.Checks {
			out <- metricCheck.Value(Flag(c.OK), c.Name)
		}
	}})
	for _, c := range own {
		if err := m.own.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// Ready says whether the process could do its work, as of a moment ago.
func (m *Monitor) Ready() *Readiness { return m.ready.look() }

// Drain makes the process not ready for good: it takes nothing new.
func (m *Monitor) Drain() { m.draining.Store(true) }

func (m *Monitor) checkRunning(context.Context) error {
	if m.draining.Load() {
		return errors.New("the process was asked to stop")
	}
	return nil
}

// Times of the HTTP server. It has few and known clients.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
	closeTimeout = time.Second
)

// Start listens as c says, if it does, until stop is called.
func (m *Monitor) Start(c Config) (stop func(), err error) {
	if c.Listen == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("monitor.listen: %w", err)
	}
	handler, timeout := m.Handler(), writeTimeout
	if c.Profiles {
		handler, timeout = withProfiles(handler), profileTimeout
		m.log.Warn("profiles are served on the monitor's address: switch monitor.profiles off when nobody looks")
	}
	srv := &http.Server{
		Handler:           handler,
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      timeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(m.log.Named("monitor")),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("metrics and health are no longer served", zap.Error(err))
		}
	}()
	m.log.Info("monitor listens", zap.String("address", l.Addr().String()))
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // a scrape that hangs does not hold up the end
		}
		<-done
	}, nil
}

// Handler serves GET /metrics, /healthz and /readyz.
func (m *Monitor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: 4, Timeout: writeTimeout / 2, ErrorLog: zap.NewStdLog(m.log.Named("metrics")),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // who asked has gone
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state := m.Ready()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !state.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(state.JSON(), '\n')) // as above
	})
	return mux
}

// Gather returns what a scrape would, for tests.
func (m *Monitor) Gather() prometheus.Gatherer { return m.registry }
