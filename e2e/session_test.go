package e2e_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
)

// TestSessionEndsWithTheToken has a client with a token handler, and otherwise a default one, live through the ends of its
// sessions: the server closes it at exp, and it comes back with a fresh token, again and again.
func TestSessionEndsWithTheToken(t *testing.T) {
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape, Issuer: oidctest.New(t, "EdDSA")})
			const life = 3 * time.Second
			var asked, ended atomic.Int64
			nc := c.Connect(t, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
				nats.TokenHandler(func() string {
					asked.Add(1)
					return c.Issuer.Mint(t, "EdDSA", c.Claims("sensor-a", oidctest.Claims{"exp": time.Now().Add(life).Unix()}))
				}),
				nats.DisconnectErrHandler(func(*nats.Conn, error) { ended.Add(1) }))
			began := time.Now()
			cluster.Eventually(t, "two sessions ended and the third began", func() bool {
				return nc.IsClosed() || ended.Load() >= 2 && nc.IsConnected() && asked.Load() >= 3
			})
			if nc.IsClosed() {
				t.Fatalf("the client gave up: %v", nc.LastError())
			}
			if took := time.Since(began); took < life {
				t.Errorf("two sessions of %v ended after %v", life, took)
			}
			if n := c.Count(logx.Outcome, "admitted"); n < 3 {
				t.Errorf("%d admissions on record", n)
			}
		})
	}
}
