package natstest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout is generous: a test machine may be busy.
const startTimeout = 30 * time.Second

// Run starts a server with this configuration text, on a free port of the loopback interface unless the text names
// another, and stops it when the test ends.
func Run(t testing.TB, conf string) *server.Server {
	t.Helper()
	return RunOptions(t, ParseConfig(t, conf))
}

// ParseConfig reads configuration text as nats-server reads its file. Port -1 unless the text names another.
func ParseConfig(t testing.TB, conf string) *server.Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats-server.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatalf("nats-server configuration: %v\n%s", err, conf)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	opts.NoSigs = true
	if opts.StoreDir == "" {
		opts.StoreDir = t.TempDir()
	}
	return opts
}

// RunOptions is Run with options that were parsed before.
func RunOptions(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(startTimeout) {
		t.Fatal("nats-server does not accept connections")
	}
	return s
}

// Connect returns a plain connection that ends with the test.
func Connect(t testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), append([]nats.Option{nats.Timeout(startTimeout)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Eventually polls until ok holds; it fails the test, saying what, when that takes longer than a slow machine needs.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", startTimeout, what)
		}
	}
}
