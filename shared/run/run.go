// Package run is the life of a process: flags, configuration, signals, exit codes. A main of this project is one
// statement around it. It refuses to know what the process does.
package run

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/monitor"
)

// Version is stamped by the build: -ldflags "-X harmony.internal/authcallout/shared/run.Version=1.2.3". It is a bare
// semantic version, because micro accepts nothing else.
var Version = "0.0.0-dev"

// Exit codes of every process.
const (
	ExitOK      = 0 // asked to stop, drained
	ExitFailure = 1 // can no longer do its work: restart it
	ExitUsage   = 2 // flags or configuration are wrong: restarting does not help
)

// probeTimeout bounds Probe.
const probeTimeout = 15 * time.Second

// Program is one process. C is its configuration.
type Program[C config.Checker] struct {
	Name        string // callout
	Description string // one line for -help
	NewConfig   func() C
	// Log returns the logging part of the configuration.
	Log func(C) logx.Config
	// Monitor returns the monitor part of the configuration, which the subcommand healthcheck asks by.
	Monitor func(C) monitor.Config
	// Probe looks at the world that the configuration names, for -check-config, and reports what would not work.
	// Optional.
	Probe func(ctx context.Context, cfg C) error
	// Serve does the work until ctx ends, then drains and returns nil; an error means that it can no longer serve.
	Serve func(ctx context.Context, cfg C, log *zap.Logger) error
}

// Main runs p with the arguments of the process and ends it. SIGTERM and SIGINT end the context given to Serve; a second
// one ends the process at once. SIGHUP ends nothing: what can change under a running process is watched, and who wants to
// be told at once listens for it.
func Main[C config.Checker](p Program[C]) {
	tuneRuntime()
	signal.Ignore(syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	os.Exit(p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Run is Main without the process: it returns the exit code when ctx ended and the work is drained.
func (p Program[C]) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == healthcheck {
		return p.healthcheck(ctx, args[1:], stdout, stderr)
	}
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(stderr, "%s %s\n\nusage: %[1]s -config FILE [-check-config]\n       %[1]s healthcheck -config FILE [-live]\n\n", p.Name, p.Description)
		flags.PrintDefaults()
	}
	file := flags.String("config", "", "the configuration `FILE`, YAML")
	check := flags.Bool("check-config", false, "print everything that is wrong with the configuration and with what it names, and exit")
	version := flags.Bool("version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage
	}
	switch {
	case *version:
		_, _ = fmt.Fprintln(stdout, p.Name, Version)
		return ExitOK
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "%s: unexpected argument %q; see -help\n", p.Name, flags.Arg(0))
		return ExitUsage
	case *file == "":
		_, _ = fmt.Fprintf(stderr, "%s: -config FILE is required; see -help\n", p.Name)
		return ExitUsage
	}
	cfg := p.NewConfig()
	warnings, err := config.Load(*file, cfg)
	if err != nil {
		if len(warnings) > 0 {
			_, _ = fmt.Fprintln(stderr, warnings)
		}
		_, _ = fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	if *check {
		return p.check(ctx, *file, cfg, warnings, stdout, stderr)
	}
	return p.serve(ctx, cfg, warnings, stderr)
}

// check prints what was found; the file itself is good.
func (p Program[C]) check(ctx context.Context, file string, cfg C, warnings config.Problems, stdout, stderr io.Writer) int {
	if len(warnings) > 0 {
		_, _ = fmt.Fprintln(stderr, warnings)
	}
	if p.Probe != nil {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		if err := p.Probe(ctx, cfg); err != nil {
			_, _ = fmt.Fprintf(stderr, "%s: the file is good, but what it names is not:\n%v\n", file, err)
			return ExitFailure
		}
	}
	_, _ = fmt.Fprintf(stdout, "%s: good\n", file)
	return ExitOK
}

func (p Program[C]) serve(ctx context.Context, cfg C, warnings config.Problems, stderr io.Writer) int {
	log, err := logx.New(p.Log(cfg), p.Name, Version)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	for _, w := range warnings {
		log.Warn("configuration", zap.Stringer("problem", w))
	}
	err = p.Serve(ctx, cfg, log)
	_ = log.Sync() // a terminal or pipe cannot be synced, and there is nobody left to tell
	if err != nil {
		log.Error("ending: can no longer serve", zap.Error(err))
		return ExitFailure
	}
	log.Info("stopped")
	return ExitOK
}
