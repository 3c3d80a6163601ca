// Command bench measures admissions per second, what they cost, and storms. See package bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"harmony.internal/authcallout/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ok, err := bench.Main(ctx, os.Args[1:])
	if !ok {
		err = run(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := f.String("bin", "bin", "directory of the services' programs")
	rounds := f.Int("rounds", 3, "rounds of each condition")
	connects := f.Int("connects", 3000, "connects in one round of one condition")
	workers := f.Int("workers", 64, "clients that connect at the same time")
	only := f.String("only", "", "conditions, separated by commas: a, b, b-xkey, c, c-xkey, d; default all whose programs are there")
	half := f.Bool("half", true, "measure latencies at half load too")
	out := f.String("out", "", "write JSON here")
	plot := f.String("plot", "", "write a plot (SVG) here")
	if err := f.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	lab, err := bench.NewLab(dir, self, absolute)
	if err != nil {
		return err
	}
	defer lab.Provider.Close()
	speed := bench.Speed{Rounds: *rounds, Connects: *connects, Workers: *workers, Progress: log.New(os.Stderr, "", 0)}
	report := bench.NewReport()
	report.Workers = *workers
	if err := measure(lab, speed, report, chosen(*only, lab, speed.Progress), *half); err != nil {
		return err
	}
	if err := report.PrintSpeed(os.Stdout); err != nil {
		return err
	}
	if *plot != "" {
		if err := os.WriteFile(*plot, report.PlotSpeed(), 0o644); err != nil { //nolint:gosec // a picture for everybody
			return err
		}
	}
	if *out == "" {
		return nil
	}
	return report.WriteJSON(*out)
}

func measure(lab *bench.Lab, speed bench.Speed, report *bench.Report, only func(string) bool, half bool) error {
	conditions, stop, err := lab.Conditions(speed.Connects, speed.Rounds, only)
	if err != nil {
		return err
	}
	defer stop()
	if report.Speed, err = speed.Run(conditions); err != nil {
		return err
	}
	if base := slices.IndexFunc(report.Speed, func(r bench.Row) bool { return r.Key == "b" }); half && base >= 0 {
		speed.HalfLoad(conditions, report.Speed, report.Speed[base].Median.PerSecond)
	}
	return nil
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
