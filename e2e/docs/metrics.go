package docs

import (
	"fmt"
	"strings"

	"harmony.internal/authcallout/services/callout"
	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/tokencheck"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
)

// MetricGroup is the families that come together.
type MetricGroup struct {
	Who     string
	Metrics []*monitor.Metric
}

// MetricGroups are all families of this project.
func MetricGroups() []MetricGroup {
	return []MetricGroup{
		{"Every process", append(monitor.Metrics(), natsx.Metrics()...)},
		{"callout", callout.Metrics()},
		{"tokencheck", tokencheck.Metrics()},
		{"policy", policy.Metrics()},
	}
}

// Metrics renders the table of metrics.
func Metrics() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" + generated + `
Each process serves ` + "`/metrics`" + ` for Prometheus on the address in ` + "`monitor.listen`" + `, beside ` + "`/healthz`" + ` and ` + "`/readyz`" + `. Every metric below has the label
` + "`service`" + ` (callout, tokencheck or policy); Go's own ` + "`go_*` and `process_*`" + ` metrics are there too. No label holds anything that a device chose: the number of
series is bounded by the configuration. Counters start at 0 with the process.
`)
	for _, g := range MetricGroups() {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", g.Who)
		for _, m := range g.Metrics {
			labels := make([]string, len(m.Labels))
			for i, l := range m.Labels {
				labels[i] = fmt.Sprintf("`%s`: %s", l.Name, oneLine(l.Values))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(labels, "<br>"), oneLine(m.Help))
		}
	}
	return b.String()
}
