package run

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/monitor"
)

// healthcheck is the subcommand that asks the running process how it is: the health check of an image that has no shell.
const healthcheck = "healthcheck"

// healthcheck exits with ExitOK when the process that runs with the same file is ready.
func (p Program[C]) healthcheck(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name+" "+healthcheck, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "the configuration `FILE` of the process that runs; its monitor.listen is asked")
	live := flags.Bool("live", false, "only ask whether the process is there (/healthz), not whether it is ready (/readyz)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage
	}
	if *file == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "usage: %s %s -config FILE [-live]\n", p.Name, healthcheck)
		return ExitUsage
	}
	cfg := p.NewConfig()
	if err := config.Peek(*file, cfg); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	var listen string
	if p.Monitor != nil {
		listen = p.Monitor(cfg).Listen
	}
	if listen == "" {
		_, _ = fmt.Fprintf(stderr, "%s: monitor.listen is not set: there is nothing to ask\n", *file)
		return ExitUsage
	}
	if err := monitor.Ask(ctx, listen, *live); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return ExitFailure
	}
	_, _ = fmt.Fprintf(stdout, "%s: healthy\n", p.Name)
	return ExitOK
}
