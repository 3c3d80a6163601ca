package e2e_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
)

// TestBypass logs in everybody who has a password or a key: the callout never hears of them, also when it does not run.
// Whoever only knows a name never gets in: nats-server itself refuses a name of auth_users
// without its password, whatever else the client presents (auth.go, processClientOrLeafAuthentication: user is found, so
// skip), and asks about every other.
func TestBypass(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape})
			known := []nats.Option{c.Platform(t), c.Operator(t)}
			if shape.Hardened {
				known = append(known, c.Seed(t, "admin"), c.Seed(t, "callout"), c.Seed(t, "tokencheck"), c.Seed(t, "policy"))
			}
			for _, who := range known {
				c.Connect(t, who)
			}
			c.Connect(t, nats.Token(c.Token(t, "sensor-a"))) // the one that the callout hears of
			cluster.Eventually(t, "the device is on record", func() bool { return c.Count(logx.Device, "sensor-a") == 1 })
			if all := c.Records(); len(all) != 1 {
				t.Errorf("%d decisions, want that about the device alone: %v", len(all), all)
			}

			token := c.Token(t, "sensor-b")
			for _, impostor := range []struct {
				name, user, password string
				asked                bool // the callout is asked; the server refuses the others by itself
			}{
				{"the name alone", topology.PlatformUser, "", false},
				{"a guess", topology.PlatformUser, "guessed-password", false},
				{"a good token in its place", topology.PlatformUser, token, false},
				{"a service", "auth", "guessed-password", shape.Hardened}, // nobody is called that there
				{"an administrator", "admin", "guessed-password", true},
			} {
				nc, err := c.Dial(nats.UserInfo(impostor.user, impostor.password), nats.Name(impostor.name), nats.MaxReconnects(0))
				if err == nil {
					nc.Close()
				}
				if !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("%s: %v", impostor.name, err)
				}
				if impostor.asked {
					if records := c.Decided(t, impostor.name); len(records) != 1 || records[0].Text(logx.Outcome) != "denied" {
						t.Errorf("%s: %v", impostor.name, records)
					}
				} else if records := c.Named(impostor.name); len(records) != 0 {
					t.Errorf("%s: the callout was asked: %v", impostor.name, records)
				}
			}

			for _, r := range c.Replicas("callout") {
				if err := r.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			for _, who := range known {
				c.Connect(t, who)
			}
		})
	}
}
