package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"harmony.internal/authcallout/shared/logx"
)

// Decision is one record of a callout, as it is in its log: of a request, or of a login that nats-server ended by itself.
type Decision struct {
	Time  time.Time
	Field map[string]any // by the names in logx
}

func (d Decision) text(name string) string {
	switch v := d.Field[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// readDecisions takes the records out of a log; lines that are none are passed over.
func readDecisions(log string) []Decision {
	var all []Decision
	for line := range strings.Lines(log) {
		var field map[string]any
		if json.Unmarshal([]byte(line), &field) != nil || field[logx.Outcome] == nil {
			continue
		}
		at, _ := field["time"].(string)
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			continue
		}
		all = append(all, Decision{Time: when, Field: field})
	}
	return all
}

// Filter chooses records: every field that is not empty must be contained in what the record says about it.
type Filter struct {
	Outcome, Reason string
	Client          string // in device, subject, client name, user or address
}

func (f Filter) matches(d Decision) bool {
	if !strings.Contains(d.text(logx.Outcome), f.Outcome) || !strings.Contains(d.text(logx.Reason), f.Reason) {
		return false
	}
	names := []string{logx.Device, logx.Subject, logx.ClientName, logx.ClientUser, logx.MQTTClientID, logx.ClientHost}
	return f.Client == "" || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(d.text(n), f.Client) })
}

const shownDecisions = 20

// Decisions prints the last records of all callouts that match, the newest last, and how many there were of each outcome.
func (d *Deployment) Decisions(ctx context.Context, since time.Duration, f Filter) error {
	m, err := d.State.Remembered()
	if err != nil {
		return err
	}
	var all []Decision
	for _, service := range m.services() {
		if image(service) != callout {
			continue
		}
		var log strings.Builder
		// Containers that were replaced took their logs with them: an operator who needs more keeps logs elsewhere.
		if err := d.Engine.stream(ctx, &log, "logs", "--since", since.String(), d.containerName(service)); err != nil {
			return fmt.Errorf("%w: %s", err, lastLines(log.String(), 1))
		}
		all = append(all, readDecisions(log.String())...)
	}
	all = slices.DeleteFunc(all, func(x Decision) bool { return !f.matches(x) })
	slices.SortFunc(all, func(a, b Decision) int { return a.Time.Compare(b.Time) })
	return printDecisions(d.Out, all)
}

func printDecisions(out io.Writer, all []Decision) error {
	counts := map[string]int{}
	for _, x := range all {
		counts[strings.TrimSpace(x.text(logx.Outcome)+" "+x.text(logx.Reason))]++
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TIME\tOUTCOME\tREASON\tDEVICE OR SUBJECT\tFROM\tMS\tDETAIL")
	for _, x := range all[max(0, len(all)-shownDecisions):] {
		who := x.text(logx.Device)
		if who == "" {
			who = x.text(logx.Subject)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Time.UTC().Format(time.TimeOnly), x.text(logx.Outcome), x.text(logx.Reason),
			who, x.text(logx.ClientHost), x.text(logx.TotalMS), x.text(logx.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	say(out, "\n%d decisions", len(all))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		say(out, "%8d  %s", counts[name], name)
	}
	printTimes(out, all)
	return nil
}

// printTimes says how long the steps of the admitted took: the middle one, and the slowest of twenty.
func printTimes(out io.Writer, all []Decision) {
	var line strings.Builder
	for _, step := range []struct{ name, field string }{
		{"open", logx.OpenMS}, {"token", logx.TokenMS}, {"policy", logx.PolicyMS}, {"mint", logx.MintMS}, {"total", logx.TotalMS},
	} {
		var times []float64
		for _, x := range all {
			if ms, ok := x.Field[step.field].(float64); ok && x.text(logx.Outcome) == "admitted" {
				times = append(times, ms)
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		_, _ = fmt.Fprintf(&line, " %s %.1f %.1f", step.name, times[len(times)/2], times[len(times)*95/100])
	}
	if line.Len() > 0 {
		say(out, "ms of those admitted, half and 95 %%:%s", line.String())
	}
}
