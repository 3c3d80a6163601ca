package e2e_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
)

// TestSubjectInjection presents genuine tokens whose device id is none: each is denied, with the variable as the reason, and
// there is one record of it.
func TestSubjectInjection(t *testing.T) {
	t.Parallel()
	const invalid, unresolved = "variable_invalid", "variable_unresolved"
	rows := []struct {
		name   string
		id     any
		reason string
	}{
		{"star", "*", invalid},
		{"everything", ">", invalid},
		{"a level's star", "a.*", invalid},
		{"everything below", "a.>", invalid},
		{"a dot", ".", invalid},
		{"two dots", "..", invalid},
		{"an empty token", "a..b", invalid},
		{"two tokens", "a.b", invalid},
		{"a dot before", ".a", invalid},
		{"a dot behind", "a.", invalid},
		{"space", "a b", invalid},
		{"space alone", " ", invalid},
		{"tab", "a\tb", invalid},
		{"NUL", "a\x00b", invalid},
		{"newline", "a\nb", invalid},
		{"carriage return, and a command of the protocol", "a\r\nSUB > 1\r\n", invalid},
		{"no-break space", "a\u00a0b", invalid},
		{"the system's", "$SYS", invalid},
		{"JetStream's", "$JS", invalid},
		{"a wildcard inside", "a*b", invalid},
		{"an arrow inside", "a>b", invalid},
		{"300 characters", strings.Repeat("a", 300), invalid},
		{"not NFC", "sensor-e\u0301", invalid},
		{"bidi override", "a\u202eb", invalid},
		{"zero width", "a\u200bb", invalid},
		{"empty", "", invalid},
		{"missing", nil, unresolved},
		{"a list of two", []string{"a", "b"}, unresolved},
		{"an empty list", []string{}, unresolved},
		{"an object", map[string]string{"a": "b"}, unresolved},
		{"true", true, unresolved},
	}
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape})
			for _, row := range rows {
				token := c.Issuer.Mint(t, "RS256", c.Claims("sensor-a", oidctest.Claims{"device_id": row.id}))
				nc, err := c.Dial(nats.Token(token), nats.Name(row.name), nats.MaxReconnects(0))
				if err == nil {
					nc.Close()
				}
				if !errors.Is(err, nats.ErrAuthorization) {
					t.Errorf("%s: %v", row.name, err)
				}
				records := c.Decided(t, row.name)
				if len(records) != 1 || records[0].Text(logx.Outcome) != "denied" {
					t.Errorf("%s: %v, want one denial", row.name, records)
					continue
				}
				if got := records[0].Text(logx.Reason); got != row.reason {
					t.Errorf("%s: %s %s, want %s", row.name, got, records[0].Text(logx.Detail), row.reason)
				}
			}
			// What looks like a template, of the rules or of nats-server, is a name like any other and stays what it is.
			platform := c.Connect(t, c.Platform(t))
			for _, id := range []string{"{device_id}", "{{name()}}", "sensor-a"} {
				states, err := platform.SubscribeSync("device-state.*")
				if err = errors.Join(err, platform.FlushTimeout(cluster.Patience)); err != nil {
					t.Fatal(err)
				}
				var refused cluster.Violations
				device := c.Connect(t, nats.Token(c.Token(t, id)), refused.Option())
				if err := errors.Join(device.Publish("device-state.other", nil), device.Publish("device-state."+id, nil)); err != nil {
					t.Fatal(err)
				}
				if m, err := states.NextMsg(cluster.Patience); err != nil || m.Subject != "device-state."+id {
					t.Errorf("%s: %v %v", id, m, err)
				}
				cluster.Eventually(t, "another's subject is refused", func() bool { return refused.Saw("publish", "device-state.other") })
			}
		})
	}
}
