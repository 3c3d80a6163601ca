package ruletest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// Result is what became of a file of tests.
type Result struct {
	Passed, Failed int
	// Untested are the rules that no test was admitted by.
	Untested []string
}

// Parse reads a file of tests; the error is config.Problems.
func Parse(name string, text []byte) (*File, error) {
	f := &File{}
	_, err := config.Parse(name, text, f)
	return f, err
}

// Run runs the tests of f on p and writes what `go test` would: failures, with all that differs, and the coverage of
// rules. verbose writes those that pass too.
func Run(w io.Writer, p *rules.Policy, f *File, verbose bool) (Result, error) {
	var out Result
	tested := map[string]bool{}
	for i := range f.Tests {
		t := &f.Tests[i]
		start := time.Now()
		q, c, err := t.request()
		if err != nil {
			return out, err
		}
		grant, fail := p.Decide(q, c)
		problems := t.Expect.differences(grant, fail)
		if grant != nil {
			tested[grant.Rule] = true
		}
		word := "PASS"
		if len(problems) > 0 {
			word = "FAIL"
			out.Failed++
		} else {
			out.Passed++
		}
		if verbose || len(problems) > 0 {
			if _, err := fmt.Fprintf(w, "--- %s: %s (%.2fs)\n", word, t.Name, time.Since(start).Seconds()); err != nil {
				return out, err
			}
		}
		for _, problem := range problems {
			if _, err := fmt.Fprintf(w, "    %s\n", problem); err != nil {
				return out, err
			}
		}
	}
	names := p.Names()
	for _, name := range names {
		if !tested[name] {
			out.Untested = append(out.Untested, name)
		}
	}
	return out, out.summary(w, len(names))
}

func (r *Result) summary(w io.Writer, rules int) error {
	word := "ok"
	if r.Failed > 0 {
		word = "FAIL"
	}
	line := fmt.Sprintf("%s\t%d passed, %d failed, coverage: %d of %d rules", word, r.Passed, r.Failed, rules-len(r.Untested), rules)
	if len(r.Untested) > 0 {
		line += " (no test is admitted by " + strings.Join(r.Untested, ", ") + ")"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// differences is everything in which the outcome is not what was expected.
func (e *Expect) differences(g *wire.Grant, fail *wire.Error) (out []string) {
	switch {
	case fail != nil && e.Reason == fail.Code.String():
		return nil
	case fail != nil && e.Reason == "":
		return []string{fmt.Sprintf("refused: %v; want rule %s", fail, e.Rule)}
	case fail != nil:
		return []string{fmt.Sprintf("refused: %v; want %s", fail, e.Reason)}
	case e.Reason != "":
		return []string{fmt.Sprintf("admitted by rule %s; want refused: %s", g.Rule, e.Reason)}
	}
	for _, field := range []struct{ name, got, want string }{
		{"rule", g.Rule, e.Rule}, {"account", g.Account, e.Account}, {"device", g.Device, e.Device},
	} {
		if field.want != "" && field.got != field.want {
			out = append(out, fmt.Sprintf("%s %q, want %q", field.name, field.got, field.want))
		}
	}
	if got := time.Duration(g.MaxSessionSeconds) * time.Second; e.MaxSession != 0 && got != e.MaxSession {
		out = append(out, fmt.Sprintf("max_session %s, want %s", got, e.MaxSession))
	}
	return slices.Concat(out,
		subjects("publish", g.Publish, e.Publish, true), subjects("publish", g.Publish, e.NotPublish, false),
		subjects("subscribe", g.Subscribe, e.Subscribe, true), subjects("subscribe", g.Subscribe, e.NotSubscribe, false))
}

func subjects(name string, side wire.Permissions, list []string, want bool) (out []string) {
	words := map[bool]string{true: "may", false: "may not"}
	for _, s := range list {
		if may, why := rules.May(side, s); may != want {
			out = append(out, fmt.Sprintf("%s %s %q (%s), want %s", words[may], name, s, why, words[want]))
		}
	}
	return out
}
