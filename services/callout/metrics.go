package callout

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"harmony.internal/authcallout/shared/monitor"
)

var (
	labelOutcome = monitor.Label{Name: "outcome", Values: "admitted, denied, hung_up, silent, refused_request"}

	metricDecisions = monitor.NewMetric(monitor.Counter, "authcallout_decisions_total", "Authorization requests by what became of them.",
		labelOutcome, monitor.Label{Name: "reason", Values: "the names in docs/codes.md; unknown for a code that this release does not know; empty when admitted"})
	metricDecisionTime = monitor.NewMetric(monitor.Histogram, "authcallout_decision_seconds",
		"Time from the arrival of a request to its end, in seconds.", labelOutcome)
	metricStepTime = monitor.NewMetric(monitor.Histogram, "authcallout_step_seconds",
		"Time of one step of a login that got that far, in seconds: verifying the request with its wait for a turn (open), tokencheck's answer, or tokencheck's own time where it handed on (token), policy's answer, then with the ways between all three (policy), checking the grant and signing (mint).",
		monitor.Label{Name: "step", Values: "open, token, policy, mint"})
	metricHangUps = monitor.NewMetric(monitor.Counter, "authcallout_hang_ups_total",
		"Connections that a server was asked to close (asked), and of these the ones that were gone already (refused).",
		monitor.Label{Name: "result", Values: "asked, refused"})
	metricRecords = monitor.NewMetric(monitor.Counter, "authcallout_records_total",
		"Decision records that were to be published on NATS: sent (published), or not because there were too many, the connection for them was down or the server refused it (dropped). The log has all of them.",
		monitor.Label{Name: "result", Values: "published, dropped"})
	metricAuthErrors = monitor.NewMetric(monitor.Counter, "authcallout_auth_errors_total",
		"Failed logins as nats-server itself reports them, each at one of the replicas, and the decision that explains them. None: the request reached no callout, or the answer came too late.",
		monitor.Label{Name: "server", Values: "timeout, refused"}, monitor.Label{Name: "decision", Values: "denied, hung_up, silent, none"})
	metricWatching = monitor.NewMetric(monitor.Gauge, "authcallout_auth_errors_watched",
		"1 while this replica is told of them, 0 without the permission or with publish_decisions off.")
	metricMayHangUp = monitor.NewMetric(monitor.Gauge, "authcallout_hang_up_allowed",
		"1 while transient trouble hangs up, 0 while it stays silent because the right to KICK is missing, or the connection for it is down.")
)

// Metrics are the families of the callout besides those of every process and of its connection.
func Metrics() []*monitor.Metric {
	return []*monitor.Metric{metricDecisions, metricDecisionTime, metricStepTime, metricHangUps, metricMayHangUp, metricRecords, metricAuthErrors, metricWatching}
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
		monitor.Families{Metrics: []*monitor.Metric{metricDecisions, metricHangUps, metricMayHangUp, metricRecords, metricAuthErrors, metricWatching}, Values: s.collect},
	}
}

func (s *Service) collect(out chan<- prometheus.Metric) {
	for e, n := range s.recorder.endings() {
		out <- metricDecisions.Value(float64(n), e.outcome, e.reason)
	}
	out <- metricHangUps.Value(float64(s.hangups.asked.Load()), "asked")
	out <- metricHangUps.Value(float64(s.hangups.refused.Load()), "refused")
	published, dropped := s.recorder.publish.counts()
	out <- metricRecords.Value(float64(published), "published")
	out <- metricRecords.Value(float64(dropped), "dropped")
	s.collectWitness(out)
	out <- metricMayHangUp.Value(monitor.Flag(s.hangups.may()))
}

// collectWitness exports every combination from the start, so that the first one counts as an increase.
func (s *Service) collectWitness(out chan<- prometheus.Metric) {
	counts := map[verdict]int64{}
	if s.witness != nil {
		counts = s.witness.counts()
	}
	for _, server := range []string{serverTimeout, serverRefused} {
		for _, decision := range append(failedOutcomes[:], noDecision) {
			out <- metricAuthErrors.Value(float64(counts[verdict{server, decision}]), server, decision)
		}
	}
	out <- metricWatching.Value(monitor.Flag(s.witness.watching()))
}
