package policy

import (
	"github.com/prometheus/client_golang/prometheus"

	"harmony.internal/authcallout/shared/monitor"
)

var (
	metricRefusals = monitor.NewMetric(monitor.Counter, "authcallout_refusals_total",
		"Requests that this service refused or could not answer, by reason.",
		monitor.Label{Name: "reason", Values: "the names in docs/codes.md"})
	metricPolicy = monitor.NewMetric(monitor.Gauge, "authcallout_policy_info",
		"Always 1; its label names the policy in force. Replicas that differ in it decide differently.",
		monitor.Label{Name: "hash", Values: "the hash in force"})
	metricGeneration = monitor.NewMetric(monitor.Gauge, "authcallout_policy_generation",
		"The number of the policy in force: the bucket's revision, or how many texts of the file were taken over since the start.")
	metricRules  = monitor.NewMetric(monitor.Gauge, "authcallout_policy_rules", "The rules of the policy in force.")
	metricBroken = monitor.NewMetric(monitor.Counter, "authcallout_policy_refused_total",
		"Texts of the policy that were not taken over because something was wrong with them.")
	metricShadow     = monitor.NewMetric(monitor.Counter, "authcallout_shadow_decisions_total", "Decisions that the shadow policy was tried on.")
	metricShadowDiff = monitor.NewMetric(monitor.Counter, "authcallout_shadow_differences_total",
		"Decisions that the shadow policy would have changed: logins turned around (admits, refuses), with more or fewer entries of subjects (gains, loses; a login may be both), or different in another way.",
		monitor.Label{Name: "difference", Values: "admits, refuses, gains, loses, other"})
)

// Metrics are the families of policy besides those of every process and of its connection.
func Metrics() []*monitor.Metric {
	return []*monitor.Metric{metricRefusals, metricPolicy, metricGeneration, metricRules, metricBroken, metricShadow, metricShadowDiff}
}

func (s *Service) collect(out chan<- prometheus.Metric) {
	st := s.stats()
	for reason, n := range st.Refused {
		out <- metricRefusals.Value(float64(n), reason)
	}
	out <- metricBroken.Value(float64(s.store.refused.Load()))
	if st.PolicyHash != "" {
		out <- metricPolicy.Value(1, st.PolicyHash)
		out <- metricGeneration.Value(float64(st.PolicyGeneration))
		out <- metricRules.Value(float64(st.Rules))
	}
	if st.Shadow != nil {
		out <- metricShadow.Value(float64(st.Shadow.Compared))
		for difference, n := range map[string]int64{
			"admits": st.Shadow.Admits, "refuses": st.Shadow.Refuses,
			"gains": st.Shadow.Gains, "loses": st.Shadow.Loses, "other": st.Shadow.Other,
		} {
			out <- metricShadowDiff.Value(float64(n), difference)
		}
	}
}
