// Command capacity prints how many servers and replicas a fleet needs that reconnects within a window.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"time"

	"harmony.internal/authcallout/e2e/capacity"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

func run() error {
	var fleet capacity.Fleet
	flag.IntVar(&fleet.Devices, "devices", 1_000_000, "`number` of devices")
	window := flag.Int("window", 300, "`seconds` within which all must be back")
	flag.IntVar(&fleet.Cores, "cores", 4, "cores of a `host`")
	flag.Float64Var(&fleet.Share, "share", 0.5, "`part` of a host's cores that logins may use")
	flag.Float64Var(&fleet.Idle, "elsewhere", 0.15, "CPU `seconds` per 1,000 logins that a server spends on those at the others of its cluster")
	file := flag.String("bench", "docs/bench.json", "`file` that make bench wrote")
	flag.Parse()
	fleet.Window = time.Duration(*window) * time.Second
	figures, err := capacity.ReadBench(*file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: run make bench, which measures what a login costs on this machine", err)
	}
	if err != nil {
		return err
	}
	return capacity.Plan(os.Stdout, figures, fleet)
}
