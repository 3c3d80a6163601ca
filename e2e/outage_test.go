package e2e_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// outage is longer than two attempts of any client below: two authorization errors in a row would end it for good.
const outage = 6 * time.Second

// TestOutage takes policy away for a while and has devices reconnect meanwhile, as a default client of nats.go does. They
// survive, and are back when policy is. A connect timeout that is longer than the server's authorization.timeout needs a
// callout that may hang up.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		shape   cluster.Shape
		hangs   bool // policy does not answer, in place of not being there
		timeout time.Duration
		outcome string
	}{
		{"reference, policy is gone", cluster.Reference(), false, 2 * time.Second, "silent"},
		{"reference, policy hangs", cluster.Reference(), true, 2 * time.Second, "silent"},
		{"hardened, policy is gone", cluster.Sealed(), false, 2 * time.Second, "hung_up"},
		{"hardened, policy hangs", cluster.Sealed(), true, 2 * time.Second, "hung_up"},
		{"hardened, policy is gone, patient clients", cluster.Hardened(), false, 5 * time.Second, "hung_up"},
		{"hardened, policy hangs, patient clients", cluster.Hardened(), true, 5 * time.Second, "hung_up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			system := cluster.Start(t, cluster.Options{Shape: c.shape, Processes: c.hangs})
			device := defaultClient(t, system, "sensor-a", c.timeout)
			cluster.Eventually(t, "the device is connected", device.IsConnected)
			newcomer := func() *nats.Conn { return defaultClient(t, system, "sensor-b", c.timeout) }

			policy := system.Replicas(wire.QueuePolicy)[0]
			end := time.After(outage)
			if c.hangs {
				policy.Pause(t)
			} else if err := policy.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := device.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
			late := newcomer()
			<-end
			if n := system.Count(logx.Outcome, c.outcome); n < 2 {
				t.Errorf("%d logins were %s during the outage, want several", n, c.outcome)
			}
			if n := system.Count(logx.Outcome, "denied"); n != 0 {
				t.Errorf("%d logins were denied during the outage", n)
			}
			if c.hangs {
				policy.Resume(t)
			} else {
				policy.Start(t)
			}
			for name, nc := range map[string]*nats.Conn{"the device": device, "the newcomer": late} {
				cluster.Eventually(t, name+" is connected", func() bool {
					if nc.IsClosed() {
						t.Fatalf("%s is lost for good: %v", name, nc.LastError())
					}
					return nc.IsConnected()
				})
			}
		})
	}
}

// TestBadTokenIsToldAtOnce has a client with a bad token try: it is told by a signed answer and not by a timeout, and gives
// up by itself.
func TestBadTokenIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape})
			token := c.Token(t, "sensor-a")
			forged := token[:len(token)-6] + "AAAAAA"
			_, err := c.Dial(nats.Token(forged), nats.Name("forger"), nats.MaxReconnects(0))
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%v", err)
			}
			for _, r := range c.Decided(t, "forger") {
				if r.Text(logx.Outcome) != "denied" || r.Text(logx.Reason) != "signature_invalid" {
					t.Errorf("%v", r)
				}
			}
			patient := defaultClientWith(t, c, "forger", 2*time.Second, forged)
			cluster.Eventually(t, "a client that is told twice gives up", patient.IsClosed)
			if !errors.Is(patient.LastError(), nats.ErrAuthorization) {
				t.Errorf("it ended with %v", patient.LastError())
			}
		})
	}
}

// defaultClient is a nats.go client as a device has it: unlimited reconnects, everything else at its default but for a short
// wait, so that an outage sees several attempts.
func defaultClient(t *testing.T, c *cluster.Cluster, id string, timeout time.Duration) *nats.Conn {
	t.Helper()
	return defaultClientWith(t, c, id, timeout, c.Token(t, id))
}

func defaultClientWith(t *testing.T, c *cluster.Cluster, name string, timeout time.Duration, token string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(c.URLs()[0], nats.Name(name), nats.Token(token), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.Timeout(timeout), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
