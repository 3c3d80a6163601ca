package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/docs"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// maxSeries of one family in one process. Labels come from the configuration and the table of reasons alone.
const maxSeries = 200

// TestMetrics compares what the processes export after a few logins with the documented table, both ways, and with what
// happened.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Settings: map[string]string{wire.QueuePolicy: "shadow_file: rules.yaml\n"}})
	c.Connect(t, nats.Token(c.Token(t, "sensor-a")))
	c.Connect(t, nats.Token(c.Token(t, "sensor-b")))
	for _, refused := range []string{
		c.Issuer.Mint(t, "RS256", c.Claims("sensor-c", oidctest.Claims{oidctest.RolesClaim: map[string]any{"visitor": map[string]string{}}})),
		c.Issuer.Mint(t, "RS256", c.Claims("sensor-d", nil)) + "?",
	} {
		if nc, err := c.Dial(nats.Token(refused), nats.MaxReconnects(0)); err == nil {
			nc.Close()
			t.Error("a bad token was let in")
		}
	}
	scrapes := map[string]cluster.Samples{}
	for _, service := range cluster.Services() {
		scrapes[service] = c.Replicas(service)[0].Scrape(t)
	}
	documented := map[string]*monitor.Metric{}
	seen := map[string]bool{}
	for _, g := range docs.MetricGroups() {
		for _, m := range g.Metrics {
			documented[m.Name] = m
		}
	}
	for service, families := range scrapes {
		for name, family := range families {
			if !strings.HasPrefix(name, "authcallout_") {
				continue
			}
			seen[name] = true
			m := documented[name]
			if m == nil {
				t.Errorf("%s exports %s, which is not documented", service, name)
				continue
			}
			if got := strings.ToLower(family.GetType().String()); got != string(m.Kind) || family.GetHelp() != m.Help {
				t.Errorf("%s: %s is a %s (%s)", service, name, got, family.GetHelp())
			}
			want := []string{monitor.LabelService}
			for _, l := range m.Labels {
				want = append(want, l.Name)
			}
			for _, sample := range family.GetMetric() {
				var got []string
				for _, l := range sample.GetLabel() {
					got = append(got, l.GetName())
					if l.GetName() == monitor.LabelService && l.GetValue() != service {
						t.Errorf("%s: service is %s", name, l.GetValue())
					}
					if strings.Contains(l.GetValue(), "sensor-") {
						t.Errorf("%s: label %s holds what a device chose: %s", name, l.GetName(), l.GetValue())
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s: labels %v, documented %v", name, got, want)
				}
			}
			if n := len(family.GetMetric()); n > maxSeries {
				t.Errorf("%s has %d series", name, n)
			}
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("%s is documented, and nobody exports it", name)
		}
	}
	callout := scrapes[wire.QueueCallout]
	for _, want := range []struct {
		got, want float64
		what      string
	}{
		{callout.Sum("authcallout_decisions_total", "outcome", "admitted", "reason", ""), 2, "admitted"},
		{callout.Sum("authcallout_decisions_total", "outcome", "denied", "reason", "no_matching_rule"), 1, "denied by policy"},
		{callout.Sum("authcallout_decisions_total", "outcome", "denied", "reason", "token_malformed"), 1, "denied by tokencheck"},
		{callout.Sum("authcallout_decisions_total"), 4, "decisions"},
		{callout.Sum("authcallout_decision_seconds"), 4, "decisions timed"},
		{callout.Sum("authcallout_step_seconds", "step", "mint"), 2, "minted"},
		{callout.Sum("authcallout_ready"), 1, "callout is ready"},
		{callout.Sum("authcallout_hang_up_allowed"), 1, "callout may hang up"},
		{scrapes[wire.QueueTokencheck].Sum("authcallout_refusals_total", "reason", "token_malformed"), 1, "refused by tokencheck"},
		{scrapes[wire.QueueTokencheck].Sum("authcallout_keyset_keys", "usable", "yes"), 1, "keys"},
		{scrapes[wire.QueuePolicy].Sum("authcallout_refusals_total", "reason", "no_matching_rule"), 1, "refused by policy"},
		{scrapes[wire.QueuePolicy].Sum("authcallout_policy_rules"), 1, "rules"},
		{scrapes[wire.QueuePolicy].Sum("authcallout_requests_total", "endpoint", "decide", "result", "handled"), 3, "asked of policy"},
	} {
		if want.got != want.want {
			t.Errorf("%s: %v, want %v", want.what, want.got, want.want)
		}
	}
}

// TestReadiness stops one part after the other, and wants the others to say so over HTTP and over NATS, and to recover.
func TestReadiness(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed()})
	operator := c.Connect(t, c.Operator(t))
	callout, tokencheck, policy := c.Replicas(wire.QueueCallout)[0], c.Replicas(wire.QueueTokencheck)[0], c.Replicas(wire.QueuePolicy)[0]
	subjects, err := wire.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*cluster.Replica{callout, tokencheck, policy} {
		cluster.Eventually(t, r.Service+" is ready", func() bool { code, state := r.Ready(t); return code == http.StatusOK && state.Ready })
		if code, _ := r.Get(t, "/healthz"); code != http.StatusOK {
			t.Errorf("healthz of %s: %d", r.Service, code)
		}
		m, err := operator.Request(subjects.Ready(r.Service), nil, cluster.Patience)
		if err != nil || !strings.Contains(string(m.Data), `"ready":true`) {
			t.Errorf("%s over NATS: %v", r.Service, err)
		}
	}
	if err := policy.Stop(); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "callout misses policy", func() bool {
		code, state := callout.Ready(t)
		return code == http.StatusServiceUnavailable && state.String() == "policy: no replica serves"
	})
	m, err := operator.Request(subjects.Ready(wire.QueueCallout), nil, cluster.Patience)
	if err != nil || !strings.Contains(string(m.Data), `{"name":"policy","ok":false,"error":"no replica serves"}`) {
		t.Errorf("callout over NATS: %s %v", m.Data, err)
	}
	if code, _ := callout.Get(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz of a callout without policy: %d", code)
	}
	if got := callout.Scrape(t).Sum("authcallout_ready_check", "check", "policy"); got != 0 {
		t.Errorf("the metric says %v", got)
	}
	policy.Start(t)
	cluster.Eventually(t, "callout has policy back", func() bool { code, _ := callout.Ready(t); return code == http.StatusOK })

	c.Servers[0].Stop()
	for _, r := range []*cluster.Replica{callout, tokencheck, policy} {
		cluster.Eventually(t, r.Service+" misses its server", func() bool { _, state := r.Ready(t); return strings.Contains(state.String(), "nats: not connected") })
	}
	c.Servers[0].Start(t)
	for _, r := range []*cluster.Replica{callout, tokencheck, policy} {
		cluster.Eventually(t, r.Service+" has its server back", func() bool { code, _ := r.Ready(t); return code == http.StatusOK })
	}
}

// A tokencheck whose provider has never been reached is not ready, and says why.
func TestReadinessWithoutKeys(t *testing.T) {
	t.Parallel()
	issuer := oidctest.New(t)
	issuer.Fail(http.StatusServiceUnavailable)
	c := cluster.Start(t, cluster.Options{Shape: cluster.Hardened(), Issuer: issuer})
	tokencheck, callout := c.Replicas(wire.QueueTokencheck)[0], c.Replicas(wire.QueueCallout)[0]
	want := "keys: " + issuer.URL + ": no keys yet"
	cluster.Eventually(t, "tokencheck misses keys", func() bool { _, state := tokencheck.Ready(t); return state.String() == want })
	cluster.Eventually(t, "callout says so", func() bool {
		_, state := callout.Ready(t)
		return state.String() == "tokencheck: no replica is ready: "+want
	})
	issuer.Heal()
	cluster.Eventually(t, "keys are there", func() bool { code, _ := callout.Ready(t); return code == http.StatusOK })
}
