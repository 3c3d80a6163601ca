package e2e_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
)

// TestConnectedDeviceKeepsItsGrant changes the rules while a device is connected: it keeps what it was admitted with, the
// next login gets the new rules, and max_session bounds how long the old ones can last.
func TestConnectedDeviceKeepsItsGrant(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Hardened()})
	before := c.Connect(t, nats.Token(c.Token(t, "sensor-a")))
	received, err := c.Connect(t, c.Platform(t)).SubscribeSync("device-state.sensor-a")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(cluster.ReferenceRules, `"device-state.{device_id}"`, `"other.{device_id}"`)
	changed = strings.ReplaceAll(changed, "account:", "max_session: 2s\n    account:")
	if err := os.WriteFile(c.RulesFile(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	var after *nats.Conn
	cluster.Eventually(t, "a login under the new rules", func() bool {
		nc, err := c.Dial(nats.Token(c.Token(t, "sensor-a")), nats.NoReconnect())
		if err != nil {
			return false
		}
		for _, r := range c.Records() {
			if r.Text(logx.Outcome) == "admitted" && r[logx.PolicyGeneration] == float64(2) {
				after = nc
				return true
			}
		}
		nc.Close()
		return false
	})
	t.Cleanup(after.Close)
	if err := before.Publish("device-state.sensor-a", []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if m, err := received.NextMsg(cluster.Patience); err != nil || string(m.Data) != "still here" {
		t.Errorf("the device that was connected before: %v", err)
	}
	cluster.Eventually(t, "the session under the new rules ends", after.IsClosed)
	if !before.IsConnected() {
		t.Error("the session under the old rules ended too")
	}
}

// TestMacrosOverTheCallout lets a device use its keys of a bucket, and no others, with the permissions of a real login.
func TestMacrosOverTheCallout(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			rules := strings.ReplaceAll(cluster.ReferenceRules, `    account:`, `    inbox: private
    kv: [ { bucket: state, keys: ["{device_id}"], access: [read, write] } ]
    account:`)
			c := cluster.Start(t, cluster.Options{Shape: shape, Rules: rules})
			ctx, cancel := context.WithTimeout(t.Context(), 4*cluster.Patience)
			defer cancel()
			platform, err := jetstream.New(c.Connect(t, c.Platform(t)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := platform.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "state"}); err != nil {
				t.Fatal(err)
			}
			var refused cluster.Violations
			js, err := jetstream.New(c.Connect(t, nats.Token(c.Token(t, "sensor-a")), nats.CustomInboxPrefix("_INBOX_sensor-a"), refused.Option()))
			if err != nil {
				t.Fatal(err)
			}
			kv, err := js.KeyValue(ctx, "state")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kv.PutString(ctx, "sensor-a", "on"); err != nil {
				t.Fatal(err)
			}
			if e, err := kv.Get(ctx, "sensor-a"); err != nil || string(e.Value()) != "on" {
				t.Fatal(err)
			}
			short, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			if _, err := kv.Get(short, "sensor-b"); err == nil || errors.Is(err, jetstream.ErrKeyNotFound) {
				t.Errorf("reading a neighbour's key: %v", err)
			}
			cluster.Eventually(t, "the server refuses a neighbour's key", func() bool {
				return refused.Saw("publish", "$JS.API.DIRECT.GET.KV_state.$KV.state.sensor-b")
			})
		})
	}
}
