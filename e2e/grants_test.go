package e2e_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
)

// grantRules has what a rule can say beside subjects, each in a rule for its own role.
const grantRules = `variables:
  device_id: { from: [device_id] }
  groups: { from: [groups], list: true, max_items: 4 }
rules:
  - name: answering
    when: '"answering" in roles'
    account: DEVICES
    publish: {}
    subscribe: { allow: ["ask.{device_id}"] }
    allow_responses: { max: 2, ttl: 1m }
  - name: inbox
    when: '"inbox" in roles'
    account: DEVICES
    publish: { allow: ["service"] }
    subscribe: {}
    inbox: private
  - name: queue
    when: '"queue" in roles'
    account: DEVICES
    publish: {}
    subscribe: { allow: ["work workers"] }
  - name: groups
    when: '"groups" in roles'
    account: DEVICES
    publish: { allow: ["group.{groups}"], deny: ["group.closed"] }
    subscribe: {}
  - name: near
    when: '"near" in roles'
    account: DEVICES
    source_networks: [127.0.0.0/8]
    publish: { allow: [x] }
    subscribe: {}
  - name: far
    when: '"far" in roles'
    account: DEVICES
    source_networks: [192.0.2.0/24]
    publish: { allow: [x] }
    subscribe: {}
  - name: browser
    when: '"browser" in roles'
    account: DEVICES
    connection_types: [websocket]
    publish: { allow: [x] }
    subscribe: {}
  - name: never-today
    when: '"hours" in roles'
    account: DEVICES
    hours: { from: "00:00", to: "00:00", days: [DAY] }
    publish: { allow: [x] }
    subscribe: {}
`

// TestGrants is every kind of grant as the server enforces it on a real login.
func TestGrants(t *testing.T) {
	t.Parallel()
	// Two days from now: neither today nor tomorrow, wherever midnight is.
	day := strings.ToLower(time.Now().UTC().AddDate(0, 0, 2).Weekday().String()[:3])
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Rules: strings.ReplaceAll(grantRules, "DAY", day)})
	token := func(device, role string, more oidctest.Claims) nats.Option {
		claims := c.Claims(device, oidctest.Claims{oidctest.RolesClaim: map[string]any{role: map[string]string{"1": "zitadel.localhost"}}})
		return nats.Token(c.Issuer.Mint(t, "RS256", claims.With(more)))
	}
	platform := c.Connect(t, c.Platform(t))
	subscribe := func(nc *nats.Conn, subject string) *nats.Subscription {
		t.Helper()
		sub, err := nc.SubscribeSync(subject)
		if err == nil {
			err = nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	next := func(sub *nats.Subscription) *nats.Msg {
		t.Helper()
		m, err := sub.NextMsg(cluster.Patience)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	t.Run("allow_responses", func(t *testing.T) {
		var refused cluster.Violations
		device := c.Connect(t, token("a", "answering", nil), refused.Option())
		asked := subscribe(device, "ask.a")
		answers := subscribe(platform, "answers.1")
		if err := platform.PublishRequest("ask.a", "answers.1", nil); err != nil {
			t.Fatal(err)
		}
		m := next(asked)
		for _, text := range []string{"one", "two", "three"} {
			if err := m.Respond([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(next(answers).Data) + string(next(answers).Data); got != "onetwo" {
			t.Errorf("got %s", got)
		}
		cluster.Eventually(t, "the third answer is refused", func() bool { return refused.Saw("publish", "answers.1") })
		if err := device.Publish("ask.a", nil); err != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, "what is no answer is refused", func() bool { return refused.Saw("publish", "ask.a") })
	})
	t.Run("inbox: private", func(t *testing.T) {
		if _, err := platform.Subscribe("service", func(m *nats.Msg) { _ = m.Respond([]byte("ok")) }); err != nil { // a lost answer fails the request
			t.Fatal(err)
		}
		var refused cluster.Violations
		device := c.Connect(t, token("a", "inbox", nil), nats.CustomInboxPrefix("_INBOX_a"), refused.Option())
		if m, err := device.Request("service", nil, cluster.Patience); err != nil || string(m.Data) != "ok" {
			t.Error(err)
		}
		for _, subject := range []string{"_INBOX_b.>", "_INBOX.>", "_INBOX_*.>"} {
			subscribe(device, subject)
			cluster.Eventually(t, subject+" is refused", func() bool { return refused.Saw("subscription", subject) })
		}
	})
	t.Run("queue group", func(t *testing.T) {
		var refused cluster.Violations
		device := c.Connect(t, token("a", "queue", nil), refused.Option())
		work, err := device.QueueSubscribeSync("work", "workers")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(device.Flush(), platform.Publish("work", []byte("1"))); err != nil {
			t.Fatal(err)
		}
		next(work)
		subscribe(device, "work")
		cluster.Eventually(t, "without the group it is refused", func() bool { return refused.Saw("subscription", "work") })
	})
	t.Run("a list", func(t *testing.T) {
		var refused cluster.Violations
		device := c.Connect(t, token("a", "groups", oidctest.Claims{"groups": []string{"red", "blue", "closed"}}), refused.Option())
		all := subscribe(platform, "group.*")
		for _, group := range []string{"green", "closed", "red", "blue"} {
			if err := device.Publish("group."+group, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := next(all).Subject + " " + next(all).Subject; got != "group.red group.blue" {
			t.Errorf("received %s", got)
		}
		for _, subject := range []string{"group.green", "group.closed"} {
			cluster.Eventually(t, subject+" is refused", func() bool { return refused.Saw("publish", subject) })
		}
	})
	for _, tt := range []struct {
		name, role, reason string
		more               oidctest.Claims
	}{
		{"source network", "near", "", nil},
		{"another source network", "far", "source_not_allowed", nil},
		{"another connection type", "browser", "connection_type_not_allowed", nil},
		{"outside the hours", "hours", "outside_hours", nil},
		{"a list that is too long", "groups", "variable_invalid", oidctest.Claims{"groups": []string{"1", "2", "3", "4", "5"}}},
		{"a wildcard in a list", "groups", "variable_invalid", oidctest.Claims{"groups": []string{"red", ">"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := c.Dial(token("a", tt.role, tt.more), nats.Name(tt.name), nats.NoReconnect())
			if err == nil {
				nc.Close()
			}
			if (err == nil) != (tt.reason == "") || (err != nil && !errors.Is(err, nats.ErrAuthorization)) {
				t.Errorf("connected with %v, want reason %q", err, tt.reason)
			}
			cluster.Eventually(t, "the record is there", func() bool { return len(c.Named(tt.name)) > 0 })
			r := c.Named(tt.name)[0]
			if tt.reason != "" && r.Text(logx.Reason) != tt.reason {
				t.Errorf("record %v, want reason %s", r, tt.reason)
			}
			if r.Text(logx.PolicyHash) == "" || r[logx.PolicyGeneration] != float64(1) {
				t.Errorf("the record names no policy: %v", r)
			}
		})
	}
}
