package capacity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// Figures are CPU seconds per 1,000 logins in one process.
type Figures struct {
	// Source says where they were measured.
	Source     string
	NATSServer float64
	Callout    float64
	Tokencheck float64
	Policy     float64
}

// condition is the row of bench.json that a fleet which reconnects is like: every token new, RS256.
const condition = "c-RS256-cold"

// ReadBench returns the figures of the cold RS256 row that `make bench` wrote.
func ReadBench(file string) (Figures, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the caller names the file
	if err != nil {
		return Figures{}, err
	}
	var report struct {
		Time       time.Time `json:"time"`
		Processors int       `json:"processors"`
		Speed      []struct {
			Key    string `json:"key"`
			Name   string `json:"name"`
			Median struct {
				CPU map[string]float64 `json:"cpu_seconds_per_1000"`
			} `json:"median"`
		} `json:"speed"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return Figures{}, fmt.Errorf("%s: %w", file, err)
	}
	for _, row := range report.Speed {
		cpu := row.Median.CPU
		if row.Key != condition || cpu["callout"] == 0 {
			continue
		}
		return Figures{
			Source:     fmt.Sprintf("%s, %q, %s, %d processors", file, row.Name, report.Time.Format(time.DateOnly), report.Processors),
			NATSServer: cpu["nats-server"], Callout: cpu["callout"], Tokencheck: cpu["tokencheck"], Policy: cpu["policy"],
		}, nil
	}
	return Figures{}, fmt.Errorf("%s has no row %s: run make bench", file, condition)
}

// Fleet is what is asked.
type Fleet struct {
	Devices int
	Window  time.Duration // in which all must be in
	// Cores of one host, and the share of them that logins may use: the rest is for traffic and for a replica that is away.
	Cores int
	Share float64
	// Idle is what each further server of a cluster spends on a login elsewhere, in CPU seconds per 1,000 logins.
	Idle float64
}

// Plan prints how many servers and replicas of each service a fleet needs.
func Plan(out io.Writer, f Figures, fleet Fleet) error {
	if fleet.Devices < 1 || fleet.Window <= 0 || fleet.Cores < 1 || fleet.Share <= 0 || fleet.Share > 1 {
		return errors.New("devices, window and cores must be positive, share in (0, 1]")
	}
	rate := float64(fleet.Devices) / fleet.Window.Seconds()
	usable := float64(fleet.Cores) * fleet.Share
	servers, ok := Servers(f.NATSServer, fleet.Idle, rate, usable)
	var b strings.Builder
	fmt.Fprintf(&b, "figures: %s\n", f.Source)
	fmt.Fprintf(&b, "rate:    %d devices / %.0f s = %.0f logins/s\n", fleet.Devices, fleet.Window.Seconds(), rate)
	fmt.Fprintf(&b, "host:    %d cores x %.0f %% for logins = %.1f cores\n\n", fleet.Cores, fleet.Share*100, usable)
	if !ok {
		fmt.Fprintf(&b, "nats-server  no cluster can: each server spends %.3f s per 1,000 logins elsewhere, %.1f cores at this rate.\n", fleet.Idle, rate*fleet.Idle/1000)
		fmt.Fprintf(&b, "             Take a longer window, larger hosts, or several clusters with a part of the fleet each.\n")
	} else {
		perServer := rate / float64(servers)
		fmt.Fprintf(&b, "nats-server  %d: (%.0f logins/s of its own x %.3f s + %.0f elsewhere x %.3f s) / 1000 = %.2f cores each\n",
			servers, perServer, f.NATSServer, rate-perServer, fleet.Idle, (perServer*f.NATSServer+(rate-perServer)*fleet.Idle)/1000)
	}
	for _, s := range []struct {
		name string
		cpu  float64
	}{{"callout", f.Callout}, {"tokencheck", f.Tokencheck}, {"policy", f.Policy}} {
		cores := rate * s.cpu / 1000
		fmt.Fprintf(&b, "%-12s %d: %.0f logins/s x %.3f s / 1000 = %.2f cores / %.1f, and one more that may be away\n",
			s.name, Replicas(cores, usable), rate, s.cpu, cores, usable)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Replicas returns how many hosts with so many usable cores carry a load, with one more that may be away.
func Replicas(cores, usable float64) int { return int(math.Ceil(cores/usable)) + 1 }

// Servers returns the smallest cluster whose every server carries its own logins (own CPU seconds per 1,000) and its part in
// those of the others (idle); false when none can.
func Servers(own, idle, rate, usable float64) (int, bool) {
	base := rate * idle / 1000 // what a server spends that takes no login itself
	if base >= usable && rate*own/1000 > usable {
		return 0, false
	}
	if rate*own/1000 <= usable {
		return 1, true
	}
	return int(math.Ceil(rate * (own - idle) / 1000 / (usable - base))), true
}
