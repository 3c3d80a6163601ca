package callout

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/wire"
)

var (
	labelOutcome = monitor.Label{Name: "outcome", Values: "admitted, denied, hung_up, silent, refused_request"}

	metricDecisions = monitor.NewMetric(monitor.Counter, "authcallout_decisions_total", "Authorization requests by what became of them.",
		labelOutcome, monitor.Label{Name: "reason", Values: "the names in docs/codes.md; empty when admitted"})
	metricDecisionTime = monitor.NewMetric(monitor.Histogram, "authcallout_decision_seconds",
		"Time from the arrival of a request to its end, in seconds.", labelOutcome)
	metricStepTime = monitor.NewMetric(monitor.Histogram, "authcallout_step_seconds",
		"Time of one step of a login that got that far, in seconds: verifying the request with its wait for a turn (open), tokencheck's answer (token), policy's answer (policy), checking the grant and signing (mint).",
		monitor.Label{Name: "step", Values: "open, token, policy, mint"})
	metricHangUps = monitor.NewMetric(monitor.Counter, "authcallout_hang_ups_total",
		"Connections that a server was asked to close (asked), and of these the ones that were gone already (refused).",
		monitor.Label{Name: "result", Values: "asked, refused"})
	metricMayHangUp = monitor.NewMetric(monitor.Gauge, "authcallout_hang_up_allowed",
		"1 while transient trouble hangs up, 0 while it stays silent because the right to KICK is missing.")
)

// Metrics are the families of the callout besides those of every process and of its connection.
func Metrics() []*monitor.Metric {
	return []*monitor.Metric{metricDecisions, metricDecisionTime, metricStepTime, metricHangUps, metricMayHangUp}
}

// seconds are the buckets for times: a login that goes well takes a few milliseconds, a budget ends at 2 s.
var seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2, 5, 10}

// timing is the two histograms, with their labels resolved: a login pays for no look-up.
type timing struct {
	decision, step            *prometheus.HistogramVec
	outcomes                  map[string]prometheus.Observer
	open, token, policy, mint prometheus.Observer
}

func newTiming() *timing {
	t := &timing{decision: metricDecisionTime.NewHistogram(seconds), step: metricStepTime.NewHistogram(seconds), outcomes: map[string]prometheus.Observer{}}
	for _, o := range []string{outcomeAdmitted, outcomeDenied, outcomeHungUp, outcomeSilent, outcomeRefused} {
		t.outcomes[o] = t.decision.WithLabelValues(o)
	}
	t.open, t.token = t.step.WithLabelValues("open"), t.step.WithLabelValues("token")
	t.policy, t.mint = t.step.WithLabelValues("policy"), t.step.WithLabelValues("mint")
	return t
}

func (t *timing) observe(d *decision, total time.Duration) {
	if o := t.outcomes[d.outcome]; o != nil {
		o.Observe(total.Seconds())
	}
	for _, s := range []struct {
		step prometheus.Observer
		took time.Duration
	}{{t.open, d.openTime}, {t.token, d.tokenTime}, {t.policy, d.policyTime}, {t.mint, d.mintTime}} {
		if s.took > 0 {
			s.step.Observe(s.took.Seconds())
		}
	}
}

// collectors are everything that the callout exports of its own.
func (s *Service) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s.recorder.timing.decision,
		s.recorder.timing.step,
		monitor.Families{Metrics: []*monitor.Metric{metricDecisions, metricHangUps, metricMayHangUp}, Values: s.collect},
	}
}

func (s *Service) collect(out chan<- prometheus.Metric) {
	for e, n := range s.recorder.endings() {
		reason := ""
		if e.code != 0 {
			reason = e.code.String()
		}
		out <- metricDecisions.Value(float64(n), e.outcome, reason)
	}
	out <- metricHangUps.Value(float64(s.hangups.asked.Load()), "asked")
	out <- metricHangUps.Value(float64(s.hangups.refused.Load()), "refused")
	out <- metricMayHangUp.Value(monitor.Flag(s.hangups.allowed.Load()))
}

// ending is how a request may end; code is 0 when it was admitted.
type ending struct {
	outcome string
	code    wire.Code
}
