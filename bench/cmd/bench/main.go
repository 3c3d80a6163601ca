// Command bench measures admissions per second, what they cost, and storms. See package bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"harmony.internal/authcallout/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ok, err := bench.Main(ctx, os.Args[1:])
	if !ok {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do
	}
}

// flags of both measurements.
type flags struct {
	bin, only, out, plot string
	speed                bench.Speed
	half, add            bool
	clients              string
	limit, flood         time.Duration
	replicas             int
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "profile" {
		return profile(ctx, args[1:])
	}
	storm := len(args) > 0 && args[0] == "storm"
	if storm {
		args = args[1:]
	}
	var o flags
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.bin, "bin", "bin", "directory of the services' programs")
	f.StringVar(&o.out, "out", "", "write JSON here")
	f.BoolVar(&o.add, "append", false, "add to what the file named by -out holds, so that a long measurement can be taken in parts")
	f.StringVar(&o.plot, "plot", "", "write a plot (SVG) here")
	if storm {
		f.StringVar(&o.only, "only", "", "scenarios, separated by commas: storm, spread, restart, provider, kill, flood, age, patient; default all but age")
		f.StringVar(&o.clients, "clients", "2000,5000,9000", "sizes of the fleet, separated by commas; the last is used where one is enough")
		f.DurationVar(&o.limit, "limit", time.Minute, "how long a storm may last")
		f.DurationVar(&o.flood, "flood", time.Minute, "how long an overload lasts")
		f.IntVar(&o.replicas, "replicas", 1, "copies of each service")
	} else {
		f.StringVar(&o.only, "only", "", "conditions, separated by commas: a, b, b-xkey, c, c-xkey, d; default all whose programs are there")
		f.IntVar(&o.speed.Rounds, "rounds", 3, "rounds of each condition")
		f.IntVar(&o.speed.Connects, "connects", 3000, "connects in one round of one condition")
		f.IntVar(&o.speed.Workers, "workers", 64, "clients that connect at the same time")
		f.BoolVar(&o.half, "half", true, "measure latencies at half load too")
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	o.speed.Progress = log.New(os.Stderr, "", 0)
	lab, clean, err := newLab(o.bin)
	if err != nil {
		return err
	}
	defer clean()
	report := bench.NewReport()
	if o.add {
		if report, err = bench.ReadReport(o.out); err != nil {
			return err
		}
	}
	if storm {
		err = o.storms(lab, report)
	} else {
		err = o.rounds(lab, report)
	}
	if err != nil || o.out == "" {
		return err
	}
	return report.WriteJSON(o.out)
}

func newLab(bin string) (lab *bench.Lab, clean func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	absolute, err := filepath.Abs(bin)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	if lab, err = bench.NewLab(dir, self, absolute); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return lab, func() {
		lab.Provider.Close()
		_ = os.RemoveAll(dir) // in the system's temporary directory
	}, nil
}

// rounds measures speed.
func (o *flags) rounds(lab *bench.Lab, report *bench.Report) error {
	conditions, stop, err := lab.Conditions(o.speed.Connects, o.speed.Rounds, chosen(o.only, lab, o.speed.Progress))
	if err != nil {
		return err
	}
	defer stop()
	report.Workers = o.speed.Workers
	if report.Speed, err = o.speed.Run(conditions); err != nil {
		return err
	}
	if base := slices.IndexFunc(report.Speed, func(r bench.Row) bool { return r.Key == "b" }); o.half && base >= 0 {
		o.speed.HalfLoad(conditions, report.Speed, report.Speed[base].Median.PerSecond)
	}
	if err := report.PrintSpeed(os.Stdout); err != nil {
		return err
	}
	return o.picture(report.PlotSpeed)
}

// storms runs the scenarios.
func (o *flags) storms(lab *bench.Lab, report *bench.Report) error {
	sc := bench.Scenarios{Lab: lab, Limit: o.limit, Flood: o.flood, Replicas: o.replicas, Progress: o.speed.Progress}
	for text := range strings.SplitSeq(o.clients, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-clients: %q is no number of clients", text)
		}
		sc.Clients = append(sc.Clients, n)
	}
	only := func(name string) bool { return name != "age" }
	if o.only != "" {
		names := strings.Split(o.only, ",")
		only = func(name string) bool { return slices.Contains(names, name) }
	}
	ours := chosen("", lab, o.speed.Progress)("c")
	if err := sc.Run(report, only, ours); err != nil {
		return err
	}
	if err := report.PrintStorms(os.Stdout); err != nil {
		return err
	}
	return o.picture(report.PlotStorms)
}

func (o *flags) picture(draw func() []byte) error {
	if o.plot == "" {
		return nil
	}
	return os.WriteFile(o.plot, draw(), 0o644) //nolint:gosec // a picture for everybody
}

// chosen returns which systems to measure: those named, else those whose programs are there.
func chosen(only string, lab *bench.Lab, warn *log.Logger) func(string) bool {
	if only != "" {
		keys := strings.Split(only, ",")
		return func(key string) bool { return slices.Contains(keys, key) }
	}
	return func(key string) bool {
		for _, program := range bench.Programs(key) {
			if _, err := os.Stat(filepath.Join(lab.Bin, program)); err != nil {
				warn.Printf("left out (%s): %v; build it with 'make build'", key, err)
				return false
			}
		}
		return true
	}
}
