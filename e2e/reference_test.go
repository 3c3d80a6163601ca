package e2e_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/scenario"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
)

// TestScenarios runs the reference flow over every shape and in a cluster of three servers, with the services inside and as processes, two replicas each.
func TestScenarios(t *testing.T) {
	for _, shape := range append(cluster.Shapes(), cluster.Three()) {
		for _, how := range []struct {
			name      string
			processes bool
			replicas  int
		}{{"in-process", false, 1}, {"processes", true, 2}} {
			t.Run(shape.Name+"/"+how.name, func(t *testing.T) {
				t.Parallel()
				c := cluster.Start(t, cluster.Options{Shape: shape, Processes: how.processes, Replicas: how.replicas})
				for _, s := range scenario.Scenarios() {
					t.Run(s.Name, func(t *testing.T) { s.Run(t, site(t, c)) })
				}
				cluster.Eventually(t, "three admissions on record", func() bool { return c.Count(logx.Outcome, "admitted") == 3 })
				if all := c.Records(); len(all) != 3 {
					t.Errorf("%d decision records, want one for each of three logins", len(all))
				}
			})
		}
	}
}

func site(t testing.TB, c *cluster.Cluster) scenario.Site {
	return scenario.Site{URLs: c.URLs(), Platform: c.Platform(t), Token: c.Token}
}

// TestAlgorithms logs in with a key of each kind.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	algorithms := []string{"RS256", "ES256", "EdDSA"}
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Issuer: oidctest.New(t, algorithms...)})
	for _, alg := range algorithms {
		token := c.Issuer.Mint(t, alg, c.Claims("sensor-a", nil))
		c.Connect(t, nats.Token(token), nats.Name(alg))
	}
}
