package tokencheck

import (
	"github.com/prometheus/client_golang/prometheus"

	"harmony.internal/authcallout/shared/monitor"
)

var (
	labelIssuer = monitor.Label{Name: "issuer", Values: "the issuers of tokencheck.yaml"}

	metricRefusals = monitor.NewMetric(monitor.Counter, "authcallout_refusals_total",
		"Requests that this service refused or could not answer, by reason.",
		monitor.Label{Name: "reason", Values: "the names in docs/codes.md"})
	metricTokens = monitor.NewMetric(monitor.Counter, "authcallout_tokens_total",
		"Tokens judged: accepted, refused because of the token, or not judged because of a trouble of ours or the provider's.",
		monitor.Label{Name: "issuer", Values: "the issuers of tokencheck.yaml; none when the token is of none of them"},
		monitor.Label{Name: "result", Values: "accepted, refused, trouble"},
		monitor.Label{Name: "reason", Values: "the names in docs/codes.md; none when accepted"})
	metricHandedOn = monitor.NewMetric(monitor.Counter, "authcallout_handed_on_total",
		"Accepted tokens that were handed on to policy at once, a few that nats-server then refused included. The others went back to the callout, which asks policy itself.")
	metricKeySet = monitor.NewMetric(monitor.Gauge, "authcallout_keyset_info",
		"Always 1; its label names the usable keys. Replicas that differ in it have different keys.",
		labelIssuer, monitor.Label{Name: "key_set", Values: "the hash in force"})
	metricKeySetAge = monitor.NewMetric(monitor.Gauge, "authcallout_keyset_age_seconds",
		"How long ago an issuer's keys were last confirmed, in seconds; absent before the first time.", labelIssuer)
	metricKeySetLimit = monitor.NewMetric(monitor.Gauge, "authcallout_keyset_stale_limit_seconds",
		"The age in seconds beyond which an issuer's keys no longer serve.", labelIssuer)
	metricKeys = monitor.NewMetric(monitor.Gauge, "authcallout_keyset_keys", "An issuer's keys, usable or not.",
		labelIssuer, monitor.Label{Name: "usable", Values: "yes, no"})
	metricFetches = monitor.NewMetric(monitor.Counter, "authcallout_keyset_fetches_total", "Attempts to fetch an issuer's keys.",
		labelIssuer, monitor.Label{Name: "result", Values: "good, unreachable, bad_status, unusable (an answer without usable keys of this issuer)"})
	metricCache = monitor.NewMetric(monitor.Counter, "authcallout_token_cache_total",
		"Tokens by whether their signature was checked (miss), known to be good from a moment ago (hit), or being checked for another login (joined).",
		labelIssuer, monitor.Label{Name: "result", Values: "hit, joined, miss"})
	metricCacheEntries = monitor.NewMetric(monitor.Gauge, "authcallout_token_cache_entries", "Verified tokens that are remembered.", labelIssuer)
	metricCacheBytes   = monitor.NewMetric(monitor.Gauge, "authcallout_token_cache_bytes", "The memory that verified tokens take, in bytes.", labelIssuer)
	metricForced       = monitor.NewMetric(monitor.Counter, "authcallout_keyset_forced_total",
		"Logins whose token named a key that was not there: they caused a fetch (asked), waited for one under way (joined), or would have caused more than is permitted (suppressed).",
		labelIssuer, monitor.Label{Name: "result", Values: "asked, joined, suppressed"})
	metricIntrospections = monitor.NewMetric(monitor.Counter, "authcallout_introspections_total",
		"Questions to an issuer about tokens: answered active or inactive, failed, not asked because too many were open (busy), or answered from memory (remembered). 0 for an issuer that is not asked.",
		labelIssuer, monitor.Label{Name: "result", Values: "active, inactive, failed, busy, remembered"})
)

// Metrics are the families of tokencheck besides those of every process and of its connection.
func Metrics() []*monitor.Metric {
	return []*monitor.Metric{metricRefusals, metricTokens, metricHandedOn, metricKeySet, metricKeySetAge, metricKeySetLimit, metricKeys, metricFetches, metricForced, metricCache, metricCacheEntries, metricCacheBytes, metricIntrospections}
}

func (s *Service) collect(out chan<- prometheus.Metric) {
	for reason, n := range s.tally.refused() {
		out <- metricRefusals.Value(float64(n), reason)
	}
	for o, n := range s.tally.copy() {
		issuer, reason := o.issuer, "none"
		if issuer == "" {
			issuer = "none"
		}
		if o.code != 0 {
			reason = o.code.String()
		}
		out <- metricTokens.Value(float64(n), issuer, o.result(), reason)
	}
	out <- metricHandedOn.Value(float64(s.handOns.count.Load()))
	for name, i := range s.verifier.issuers {
		st := i.stats()
		out <- metricKeySetLimit.Value(i.StaleLimit.Seconds(), name)
		out <- metricFetches.Value(float64(st.Fetched), name, "good")
		out <- metricFetches.Value(float64(st.Unreachable), name, "unreachable")
		out <- metricFetches.Value(float64(st.Status), name, "bad_status")
		out <- metricFetches.Value(float64(st.Unusable), name, "unusable")
		out <- metricCache.Value(float64(st.Cache.Hits), name, "hit")
		out <- metricCache.Value(float64(st.Cache.Joined), name, "joined")
		out <- metricCache.Value(float64(st.Cache.Misses), name, "miss")
		out <- metricCacheEntries.Value(float64(st.Cache.Entries), name)
		out <- metricCacheBytes.Value(float64(st.Cache.Bytes), name)
		out <- metricForced.Value(float64(st.Forced), name, "asked")
		out <- metricForced.Value(float64(st.Joined), name, "joined")
		out <- metricForced.Value(float64(st.Suppressed), name, "suppressed")
		asked := IntrospectionStats{}
		if st.Introspection != nil {
			asked = *st.Introspection
		}
		for result, count := range map[string]int64{
			"active": asked.Active, "inactive": asked.Inactive, "failed": asked.Failed, "busy": asked.Busy, "remembered": asked.Remembered,
		} {
			out <- metricIntrospections.Value(float64(count), name, result)
		}
		if st.KeySet != "" {
			out <- metricKeySet.Value(1, name, st.KeySet)
			out <- metricKeySetAge.Value(float64(st.AgeSeconds), name)
			out <- metricKeys.Value(float64(len(st.Keys)), name, "yes")
			out <- metricKeys.Value(float64(st.KeysSkipped), name, "no")
		}
	}
}
