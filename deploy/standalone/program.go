package standalone

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/run"
)

// Name of the process.
const Name = "standalone"

// DefaultData is the data directory of a process that is not told another.
const DefaultData = "authcallout-data"

const usage = `standalone is nats-server and the services that admit devices to it, in one process.

usage: standalone -issuer URL -project ID [-role ROLE] [-device-claim CLAIM] [-listen HOST:PORT] [-data DIR]   first start
       standalone [-data DIR]                                                                                from then on

The first start makes keys and configuration in the data directory and prints what it wrote. From then on the files
say everything, and they are yours to edit.

`

// Main runs the process and ends it. SIGTERM and SIGINT drain it; a second one ends it at once. SIGHUP reads
// nats-server.conf again.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	setup          Setup
	check, version bool
	// given are the names of the flags that shape the first start and were set.
	given []string
}

// Run is Main without the process: it returns the exit code (run.Exit...) when ctx ended and everything is drained.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return run.ExitOK
	case err != nil:
		return run.ExitUsage
	case o.version:
		_, _ = fmt.Fprintln(stdout, Name, run.Version)
		return run.ExitOK
	}
	if !o.check {
		release, code := prepare(o, stdout, stderr)
		if release == nil {
			return code
		}
		defer release()
	}
	system, err := Load(o.setup.DataDir)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return run.ExitUsage
	}
	if o.check {
		return check(ctx, system, o.setup.DataDir, stdout, stderr)
	}
	return serve(ctx, system, stderr)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.setup.DataDir, "data", DefaultData, "the data `DIR`ectory; made when it is not there, readable by its owner alone")
	flags.StringVar(&o.setup.Issuer, "issuer", "", "the provider's `URL`, exactly as its discovery document names itself")
	flags.StringVar(&o.setup.Project, "project", "", "the `ID` of the Zitadel project that a token's audience must hold")
	flags.StringVar(&o.setup.Role, "role", DefaultRole, "the `ROLE` in that project that lets a device in")
	flags.StringVar(&o.setup.DeviceClaim, "device-claim", DefaultDeviceClaim,
		"the `CLAIM` that names the device; one that the device cannot change itself")
	flags.StringVar(&o.setup.Listen, "listen", DefaultListen, "`HOST:PORT` for devices; port -1 is any free one")
	flags.BoolVar(&o.check, "check-config", false, "print everything that is wrong with the files in the data directory, and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "%s: unexpected argument %q; see -help\n", Name, flags.Arg(0))
		return o, errors.New("unexpected argument")
	}
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "issuer", "project", "role", "device-claim", "listen":
			o.given = append(o.given, "-"+f.Name)
		}
	})
	return o, nil
}

// prepare takes the data directory for this process, writes what is not there yet and tells a person about it. It returns what
// lets go of the directory, or nil and the exit code.
func prepare(o options, stdout, stderr io.Writer) (release func(), code int) {
	_, err := o.setup.begin()
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", Name, err)
		return nil, run.ExitUsage
	}
	release, err = lock(o.setup.DataDir) // before anything is written: two first starts must not mix their keys
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", Name, err)
		return nil, run.ExitFailure
	}
	written, err := o.setup.Write()
	if err == nil {
		err = written.print(stdout, o.given)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", Name, err)
		release()
		return nil, run.ExitUsage
	}
	return release, run.ExitOK
}

func check(ctx context.Context, s *System, dir string, stdout, stderr io.Writer) int {
	for _, w := range s.Warnings {
		_, _ = fmt.Fprintln(stderr, w)
	}
	if err := s.probe(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: the files are good, but what they name is not:\n%v\n", dir, err)
		return run.ExitFailure
	}
	_, _ = fmt.Fprintf(stdout, "%s: good\n", dir)
	return run.ExitOK
}

func serve(ctx context.Context, s *System, stderr io.Writer) int {
	log, err := logx.New(s.callout.Log, Name, run.Version)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return run.ExitUsage
	}
	for _, w := range s.Warnings {
		log.Warn("configuration", zap.Stringer("problem", w))
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	err = s.Run(ctx, log, hangup)
	_ = log.Sync() // a terminal or pipe cannot be synced, and there is nobody left to tell
	if err != nil {
		log.Error("ending: can no longer serve", zap.Error(err))
		return run.ExitFailure
	}
	log.Info("stopped")
	return run.ExitOK
}
