package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/services/policy/ruletest"
	"harmony.internal/authcallout/shared/run"
)

// subcommand is one word after the program's name.
type subcommand struct {
	arguments, help string
	run             func(ctx context.Context, c *call) error
}

// call is one run of a subcommand.
type call struct {
	flags      *flag.FlagSet
	args       []string
	positional []string // filled by parse
	stdout     io.Writer
	stderr     io.Writer
}

// table is filled at the call, because its entries print it.
func table() map[string]subcommand {
	return map[string]subcommand{
		"check":   {"RULES", "print everything that is wrong with a rules file", check},
		"test":    {"[-v] RULES TESTS", "run the tests of a rules file", test},
		"explain": {"[-publish SUBJECT] [-subscribe SUBJECT] [-registry FILE] RULES REQUEST", "say how a decision comes about; REQUEST is JSON with token and client, or what auth.v1.token.explain answered", explain},
		"put":     {"-config FILE [-revision N] RULES TESTS", "write rules that pass their tests into the key-value bucket that the replicas watch", put},
		"diff":    {"-records FILE [-registry FILE] OLD NEW", "decide recorded requests, one JSON object a line, by two rules files and print the differences", diff},
	}
}

// Is reports whether word is a subcommand.
func Is(word string) bool { _, ok := table()[word]; return ok }

var errFailed = errors.New("failed")

// Run runs a subcommand and returns the exit code. Is(args[0]) must be true.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := table()[args[0]]
	c := &call{flags: flag.NewFlagSet("policy "+args[0], flag.ContinueOnError), args: args[1:], stdout: stdout, stderr: stderr}
	c.flags.SetOutput(stderr)
	c.flags.Usage = func() {
		_, _ = fmt.Fprintf(stderr, "usage: policy %s %s\n\n%s\n\n", args[0], cmd.arguments, cmd.help)
		c.flags.PrintDefaults()
	}
	err := cmd.run(ctx, c)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return run.ExitOK
	case errors.Is(err, errFailed):
		return run.ExitFailure
	}
	_, _ = fmt.Fprintln(stderr, err)
	return run.ExitUsage
}

// parse reads flags, before, between and after the arguments, and demands count of those.
func (c *call) parse(count int) error {
	for rest := c.args; ; {
		if err := c.flags.Parse(rest); err != nil {
			return err
		}
		if c.flags.NArg() == 0 {
			break
		}
		c.positional = append(c.positional, c.flags.Arg(0))
		rest = c.flags.Args()[1:]
	}
	if len(c.positional) != count {
		c.flags.Usage()
		return fmt.Errorf("%d arguments, want %d", len(c.positional), count)
	}
	return nil
}

func (c *call) print(format string, args ...any) { _, _ = fmt.Fprintf(c.stdout, format, args...) }

// compile reads a rules file and prints its warnings.
func (c *call) compile(file string) (*rules.Policy, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the person at the command line names it
	if err != nil {
		return nil, err
	}
	return c.compileText(file, text, rules.System{})
}

func (c *call) compileText(file string, text []byte, system rules.System) (*rules.Policy, error) {
	p, warnings, err := system.Compile(file, text)
	if len(warnings) > 0 {
		_, _ = fmt.Fprintln(c.stderr, warnings)
	}
	return p, err
}

func check(_ context.Context, c *call) error {
	if err := c.parse(1); err != nil {
		return err
	}
	p, err := c.compile(c.positional[0])
	if err != nil {
		return err
	}
	c.print("%s: good, %d rules, hash %s\n", c.positional[0], p.Rules(), p.Hash())
	return nil
}

func test(_ context.Context, c *call) error {
	verbose := c.flags.Bool("v", false, "print the tests that pass too")
	if err := c.parse(2); err != nil {
		return err
	}
	p, err := c.compile(c.positional[0])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.positional[1])
	if err != nil {
		return err
	}
	f, err := ruletest.Parse(c.positional[1], text)
	if err != nil {
		return err
	}
	result, err := ruletest.Run(c.stdout, p, f, *verbose)
	if err == nil && result.Failed > 0 {
		err = errFailed
	}
	return err
}
