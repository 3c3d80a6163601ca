package capacity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/e2e/capacity"
)

func TestServersCarryTheirLoad(t *testing.T) {
	for _, row := range []struct {
		own, idle, rate, usable float64
		servers                 int
		ok                      bool
	}{
		{0.7, 0.15, 33, 2, 1, true},       // 10,000 in 5 minutes
		{0.7, 0.15, 3333, 2, 2, true},     // 2.33 cores on one; two pay 0.5 for each other
		{0.7, 0.15, 33_333, 8, 7, true},   // 10 million in 5 minutes on large hosts
		{0.7, 0.15, 33_333, 2, 0, false},  // the others' logins alone take 5 cores
		{0.7, 0.15, 2857.142, 2, 1, true}, // just fits
		{0.7, 0, 33_333, 2, 12, true},     // without that cost it is a division
	} {
		n, ok := capacity.Servers(row.own, row.idle, row.rate, row.usable)
		if n != row.servers || ok != row.ok {
			t.Errorf("%+v: %d servers, %v", row, n, ok)
		}
		if ok && n > 1 {
			for _, size := range []int{n, n - 1} {
				each := row.rate / float64(size)
				fits := (each*row.own+(row.rate-each)*row.idle)/1000 <= row.usable+1e-9
				if fits != (size == n) {
					t.Errorf("%+v: %d servers fit: %v", row, size, fits)
				}
			}
		}
	}
}

func TestReplicas(t *testing.T) {
	for cores, want := range map[float64]int{0.1: 2, 1: 2, 1.01: 3, 10: 11} {
		if got := capacity.Replicas(cores, 1); got != want {
			t.Errorf("%v cores: %d replicas, want %d", cores, got, want)
		}
	}
}

const bench = `{"time":"2026-01-02T03:04:05Z","processors":2,"speed":[
 {"key":"b","name":"smallest callout","median":{"cpu_seconds_per_1000":{"nats-server":0.7,"callout":0.3}}},
 {"key":"c-RS256-cold","name":"three processes, RS256 cold","median":{"cpu_seconds_per_1000":{"nats-server":0.75,"callout":0.1,"tokencheck":0.2,"policy":0.05}}}]}`

func TestPlanFromBench(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	if err := os.WriteFile(file, []byte(bench), 0o600); err != nil {
		t.Fatal(err)
	}
	figures, err := capacity.ReadBench(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := capacity.Plan(&out, figures, capacity.Fleet{Devices: 1_000_000, Window: 300 * time.Second, Cores: 4, Share: 0.5, Idle: 0.15}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1000000 devices / 300 s = 3333 logins/s",
		"nats-server  2: (1667 logins/s of its own x 0.750 s + 1667 elsewhere x 0.150 s) / 1000 = 1.50 cores each",
		"tokencheck   2: 3333 logins/s x 0.200 s / 1000 = 0.67 cores / 2.0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := capacity.Plan(&out, figures, capacity.Fleet{}); err == nil {
		t.Error("a fleet of nobody has a plan")
	}
	if _, err := capacity.ReadBench(file + ".none"); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte(`{"speed":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := capacity.ReadBench(file); err == nil || !strings.Contains(err.Error(), "make bench") {
		t.Errorf("a file without the row: %v", err)
	}
}
