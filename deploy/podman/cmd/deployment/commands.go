package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"harmony.internal/authcallout/deploy/podman/deployment"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

const usage = `deployment: servers and services in containers.

  deployment up            make keys, configuration and images, and start what is not running
  deployment upgrade       the same for what runs, in the modes it was brought up with; no login fails
  deployment down          stop and remove the containers; -purge removes keys and data too
  deployment logs          what the containers say
  deployment rotate-keys   new keys for services, issuer and xkey
  deployment bypass-check  prove that nobody gets in without a valid token, and that the administrator does
  deployment decisions     the last decisions: who was admitted, who refused, and why
  deployment nats ...      the nats command line tool, as operator or (-as admin) as administrator
  deployment explain       how the services that run would decide about a device's token, step by step
  deployment check         would issuer, keys, audience and a given token work?

Each takes -h.
`

// flags are those of every command.
type flags struct {
	set                                   *flag.FlagSet
	engine, state, file, project, version string
	development, cluster, purge, follow   bool
	service, tokenFile, as                string
	since                                 time.Duration
	filter                                deployment.Filter
}

func parse(name string, args []string, root string, stderr io.Writer) (*flags, error) {
	dir := filepath.Join(root, "deploy", "podman")
	f := &flags{set: flag.NewFlagSet("deployment "+name, flag.ContinueOnError)}
	f.set.SetOutput(stderr)
	f.set.StringVar(&f.engine, "engine", "podman", "`podman` or docker")
	f.set.StringVar(&f.state, "state", setting("AUTHCALLOUT_STATE", filepath.Join(dir, "state")), "`directory` of keys and rendered configuration")
	f.set.StringVar(&f.file, "file", setting("AUTHCALLOUT_FILE", filepath.Join(dir, "deployment.yaml")), "the configuration `file`")
	f.set.StringVar(&f.project, "project", setting("AUTHCALLOUT_PROJECT", "authcallout"), "`prefix` of the containers' names")
	f.set.StringVar(&f.version, "version", os.Getenv("AUTHCALLOUT_VERSION"), "`version` of the images (default the file VERSION)")
	switch name {
	case "up":
		f.set.BoolVar(&f.development, "dev", false, "with the development identity provider and a demo device")
		f.set.BoolVar(&f.cluster, "cluster", false, "with three servers")
	case "down":
		f.set.BoolVar(&f.purge, "purge", false, "remove keys and the servers' data too")
	case "logs":
		f.set.BoolVar(&f.follow, "f", false, "follow")
		f.set.StringVar(&f.service, "service", "", "of one `container` alone: nats-1, callout-1 ...")
	case "decisions":
		f.set.DurationVar(&f.since, "since", time.Hour, "how far back")
		f.set.StringVar(&f.filter.Outcome, "outcome", "", "only this `outcome`: admitted, denied, hung_up, silent or refused_request")
		f.set.StringVar(&f.filter.Reason, "reason", "", "only this `reason`")
		f.set.StringVar(&f.filter.Client, "client", "", "only where device, subject, name or address contains this `text`")
	case "nats":
		f.set.StringVar(&f.as, "as", "operator", "`operator` or admin")
	case "check", "explain":
		f.set.StringVar(&f.tokenFile, "token-file", "", "`file` with a device's token; - is standard input")
	}
	if err := f.set.Parse(args); err != nil {
		return nil, err
	}
	if f.set.NArg() > 0 && name != "nats" {
		return nil, fmt.Errorf("unexpected argument %q", f.set.Arg(0))
	}
	if f.version == "" {
		raw, err := os.ReadFile(filepath.Join(root, "VERSION")) //nolint:gosec // the repository's own
		if err != nil {
			return nil, err
		}
		f.version = strings.TrimSpace(string(raw))
	}
	return f, nil
}

// setting is a default that the environment can name, for whoever runs several deployments on one host.
func setting(variable, otherwise string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return otherwise
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, *deployment.Deployment, *flags) error{
		"up":           up,
		"upgrade":      withConfig((*deployment.Deployment).Upgrade),
		"rotate-keys":  withConfig((*deployment.Deployment).RotateKeys),
		"bypass-check": withConfig((*deployment.Deployment).BypassCheck),
		"down": func(ctx context.Context, d *deployment.Deployment, f *flags) error {
			return d.Down(ctx, f.purge)
		},
		"decisions": func(ctx context.Context, d *deployment.Deployment, f *flags) error {
			return d.Decisions(ctx, f.since, f.filter)
		},
		"nats": func(ctx context.Context, d *deployment.Deployment, f *flags) error {
			return withConfig(func(d *deployment.Deployment, ctx context.Context, c *deployment.Config) error {
				return d.NatsCLI(ctx, c, f.as, f.set.Args())
			})(ctx, d, f)
		},
		"check": check,
		"explain": func(ctx context.Context, d *deployment.Deployment, f *flags) error {
			token, err := deployment.ReadToken(f.tokenFile, os.Stdin)
			if err != nil {
				return fmt.Errorf("the token: %w", err)
			}
			return withConfig(func(d *deployment.Deployment, ctx context.Context, c *deployment.Config) error {
				return d.Explain(ctx, c, token)
			})(ctx, d, f)
		},
		"logs": func(ctx context.Context, d *deployment.Deployment, f *flags) error {
			return d.Logs(ctx, f.service, f.follow)
		},
	}
	if len(args) == 0 || commands[args[0]] == nil {
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	}
	root, err := deployment.Root()
	if err != nil {
		return fail(stderr, err)
	}
	f, err := parse(args[0], args[1:], root, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitUsage
	}
	d := &deployment.Deployment{
		Root: root, State: deployment.State(f.state), File: f.file, Project: f.project, Version: f.version, Out: stdout,
	}
	if args[0] != "check" { // which needs no containers
		if d.Engine, err = deployment.NewEngine(f.engine); err != nil {
			return fail(stderr, err)
		}
	}
	if err := commands[args[0]](ctx, d, f); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintln(stderr, err)
	return exitFailure
}

func up(ctx context.Context, d *deployment.Deployment, f *flags) error {
	c, err := f.config(f.development)
	if err != nil {
		return err
	}
	return d.Up(ctx, c, deployment.Modes{Development: f.development, Cluster: f.cluster})
}

func check(ctx context.Context, d *deployment.Deployment, f *flags) error {
	c, err := f.config(false)
	if err != nil {
		return err
	}
	token := ""
	if f.tokenFile != "" {
		if token, err = deployment.ReadToken(f.tokenFile, os.Stdin); err != nil {
			return err
		}
	}
	return d.Check(ctx, c, token)
}

// config reads deployment.yaml. Warnings go beside the output, which may be for a program.
func (f *flags) config(development bool) (*deployment.Config, error) {
	c, warnings, err := deployment.LoadConfig(f.file, development)
	if len(warnings) > 0 {
		_, _ = fmt.Fprintln(f.set.Output(), warnings)
	}
	return c, err
}

// withConfig is for commands about a deployment that was brought up: the modes are those of then.
func withConfig(do func(*deployment.Deployment, context.Context, *deployment.Config) error) func(context.Context, *deployment.Deployment, *flags) error {
	return func(ctx context.Context, d *deployment.Deployment, f *flags) error {
		m, err := d.State.Remembered()
		if err != nil {
			return err
		}
		c, err := f.config(m.Development)
		if err != nil {
			return err
		}
		return do(d, ctx, c)
	}
}
