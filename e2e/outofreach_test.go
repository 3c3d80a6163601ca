package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// wideRules grant everything in the account, as somebody does who wants it to work first.
const wideRules = `variables:
  device_id: { from: [device_id] }
rules:
  - name: device
    when: '"device" in roles'
    account: DEVICES
    broad: true
    publish:   { allow: ["device-state.{device_id}", ">"] }
    subscribe: { allow: ["device-commands.{device_id}", ">"] }
`

// TestInternalTrafficIsOutOfReach has a device that is connected listen to everything that it can, and talk into it, while
// others log in. It sees no internal message and changes no decision: with the reference flow's rules, and with rules that
// grant the whole account, which in the reference topology is the services' account too.
func TestInternalTrafficIsOutOfReach(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		for name, rules := range map[string]string{"reference rules": cluster.ReferenceRules, "wide rules": wideRules} {
			t.Run(shape.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := cluster.Start(t, cluster.Options{Shape: shape, Rules: rules, Replicas: 2})
				spy := newSpy(t, c)
				stop := spy.talk(t, c)
				logins(t, c)
				stop()
				spy.check(t, c)
			})
		}
	}
}

// TestNoStreamOverInternalTraffic: a device that may do everything in the account makes no stream that keeps the tokens of
// others.
func TestNoStreamOverInternalTraffic(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape, Rules: wideRules})
			var refused cluster.Violations
			nc := c.Connect(t, nats.Token(c.Token(t, "spy")), refused.Option())
			for _, subject := range []string{"$JS.API.STREAM.CREATE.spy", "$JS.API.STREAM.UPDATE.spy", "$JS.API.STREAM.RESTORE.spy", "$JS.hub.API.STREAM.CREATE.spy", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"} {
				if err := nc.PublishRequest(subject, "_INBOX.spy", []byte(`{"name":"spy","subjects":["auth.v1.>"],"storage":"memory"}`)); err != nil {
					t.Fatal(err)
				}
				if err := nc.FlushTimeout(cluster.Patience); err != nil {
					t.Fatal(err)
				}
				cluster.Eventually(t, "the server refuses "+subject, func() bool { return refused.Saw("publish", subject) })
			}
			c.Connect(t, nats.Token(c.Token(t, "sensor-a")))
		})
	}
}

// TestAnsweringIsNoWayOut: a device that may answer, and asks itself with an internal subject as the place of the answer, may not
// publish there. nats-server lets an answer pass whatever is denied.
func TestAnsweringIsNoWayOut(t *testing.T) {
	t.Parallel()
	answering := strings.Replace(cluster.ReferenceRules, "    publish:", "    broad: true\n    allow_responses: { max: 100, ttl: 1h }\n    publish:", 1)
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape, Rules: answering})
			var refused cluster.Violations
			nc := c.Connect(t, nats.Token(c.Token(t, "spy")), refused.Option())
			self, err := nc.SubscribeSync("_INBOX.spy")
			if err != nil {
				t.Fatal(err)
			}
			for _, subject := range []string{"$JS.API.STREAM.CREATE.spy", "auth.v1.token.check", "auth.kick." + c.Servers[0].ID(), wire.SubjectUserAuth, "device-commands.other"} {
				if err := nc.PublishRequest("_INBOX.spy", subject, nil); err != nil {
					t.Fatal(err)
				}
				m, err := self.NextMsg(cluster.Patience)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(m.Respond([]byte(`{"name":"spy","subjects":["auth.v1.>"],"storage":"memory"}`)), nc.FlushTimeout(cluster.Patience)); err != nil {
					t.Fatal(err)
				}
				cluster.Eventually(t, "the server refuses "+subject, func() bool { return refused.Saw("publish", subject) })
			}
		})
	}
}

// spy is a device with a good token and bad intentions.
type spy struct {
	*nats.Conn
	refused cluster.Violations

	mu   sync.Mutex // guards seen
	seen []*nats.Msg
}

// wanted is what a spy listens to.
var wanted = []string{
	"_INBOX.>", ">", "*", "*.>", "_AUTH_INBOX.>", "_AUTH_INBOX.callout.>", "auth.>", "auth.v1.token.check", "auth.v1.policy.decide", "auth.v1.decision.*",
	"auth.kick.*", "$SYS.>", "$SYS._INBOX.>", wire.SubjectUserAuth, "$SYS.ACCOUNT.CLIENT.AUTH.ERR",
}

func newSpy(t *testing.T, c *cluster.Cluster) *spy {
	t.Helper()
	s := &spy{}
	s.Conn = c.Connect(t, nats.Token(c.Token(t, "spy")), nats.Name("spy"), nats.NoEcho(), s.refused.Option())
	collect := func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, m)
	}
	for _, subject := range wanted {
		if _, err := s.Subscribe(subject, collect); err != nil {
			t.Fatal(err)
		}
	}
	// In the services' queue groups too: a member would take requests away.
	for subject, queue := range map[string]string{
		"auth.v1.token.check": wire.QueueTokencheck, "auth.v1.policy.decide": wire.QueuePolicy, wire.SubjectUserAuth: wire.QueueCallout, "_INBOX.>": "callout",
	} {
		if _, err := s.QueueSubscribe(subject, queue, collect); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FlushTimeout(cluster.Patience); err != nil {
		t.Fatal(err)
	}
	return s
}

// talk publishes until the function that it returns is called: answers that would admit somebody else, answers that would
// refuse, requests, and attempts to close the connections of others.
func (s *spy) talk(t *testing.T, c *cluster.Cluster) (stop func()) {
	t.Helper()
	grant := []byte(`{"account":"DEVICES","device":"spy","rule":"spy","publish":{"allow":[">"]},"subscribe":{"allow":[">"]}}`)
	refusal := &nats.Msg{Header: nats.Header{wire.HeaderErrorCode: {"1010"}, wire.HeaderError: {"no"}}, Data: []byte(`{"code":1010,"reason":"signature_invalid"}`)}
	done, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			for _, subject := range []string{
				"_INBOX.x", fmt.Sprintf("_INBOX.%d.%d", n, n), "_AUTH_INBOX.callout.x.y", "auth.v1.token.check", "auth.v1.policy.decide", wire.SubjectUserAuth,
				"auth.v1.decision.admitted", "auth.v1.ready.tokencheck", "$SYS._INBOX.x.y", "$SYS.ACCOUNT.CLIENT.AUTH.ERR",
			} {
				refusal.Subject = subject
				// The server refuses most of them; the connection is the test's own.
				_ = s.PublishRequest(subject, "_INBOX.spy.answer", grant)
				_ = s.PublishMsg(refusal)
			}
			for cid := range 64 {
				body := fmt.Appendf(nil, `{"cid":%d}`, cid)
				_ = s.PublishRequest("auth.kick."+c.Servers[0].ID(), "_INBOX.spy.kicked", body)
				_ = s.PublishRequest("$SYS.REQ.SERVER."+c.Servers[0].ID()+".KICK", "_INBOX.spy.kicked", body)
			}
			if err := s.FlushTimeout(cluster.Patience); err != nil {
				t.Errorf("the spy's connection: %v", err)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

const goodLogins, badLogins = 12, 6

// logins has devices log in that are to be let in, and some that are not.
func logins(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for i := range goodLogins {
		id := fmt.Sprintf("sensor-%d", i)
		c.Connect(t, nats.Token(c.Token(t, id)), nats.Name(id), nats.NoReconnect(),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					t.Errorf("%s lost its connection: %v", id, err)
				}
			}))
	}
	for i := range badLogins {
		token := c.Issuer.Mint(t, "RS256", c.Claims("stranger", oidctest.Claims{oidctest.RolesClaim: nil}))
		if nc, err := c.Dial(nats.Token(token), nats.Name(fmt.Sprintf("stranger-%d", i)), nats.MaxReconnects(0)); err == nil {
			nc.Close()
			t.Error("a device without a role was let in")
		}
	}
	for i := range goodLogins {
		records := c.Decided(t, fmt.Sprintf("sensor-%d", i))
		if last := records[len(records)-1]; last.Text(logx.Device) != fmt.Sprintf("sensor-%d", i) || last.Text(logx.Rule) != "device" {
			t.Errorf("sensor-%d: %v", i, records)
		}
	}
	for i := range badLogins {
		records := c.Decided(t, fmt.Sprintf("stranger-%d", i))
		if last := records[len(records)-1]; last.Text(logx.Reason) != "no_matching_rule" {
			t.Errorf("stranger-%d: %v", i, records)
		}
	}
}

// check looks at what the spy got, and at what the callouts and their neighbours say about it.
func (s *spy) check(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if err := s.FlushTimeout(cluster.Patience); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.seen {
		switch {
		case strings.HasPrefix(m.Subject, "_INBOX.spy.") && m.Header.Get("Status") == "503":
			// Nobody listens where it asked: the server's own answer to the spy.
		default:
			t.Errorf("the spy received %s: %.200q", m.Subject, m.Data)
		}
	}
	for _, subject := range []string{"_AUTH_INBOX.callout.>", "auth.v1.token.check", "auth.v1.policy.decide", "auth.v1.decision.*", "auth.kick.*", "$SYS._INBOX.>", wire.SubjectUserAuth} {
		if !s.refused.Saw("subscription", subject) {
			t.Errorf("the server let the spy subscribe to %s", subject)
		}
	}
	for _, subject := range []string{"auth.v1.token.check", "auth.v1.policy.decide", "_AUTH_INBOX.callout.x.y", "$SYS._INBOX.x.y"} {
		if !s.refused.Saw("publish", subject) {
			t.Errorf("the server let the spy publish on %s", subject)
		}
	}
	for _, r := range c.Records() {
		if outcome := r.Text(logx.Outcome); outcome == "refused_request" {
			t.Errorf("a request of the spy's reached the callout: %v", r)
		}
		if r.Text(logx.Reason) == "bad_reply" {
			t.Errorf("an answer of the spy's reached the callout: %v", r)
		}
	}
	for _, service := range []string{wire.QueueTokencheck, wire.QueuePolicy} {
		for _, r := range c.Replicas(service) {
			if n := r.Scrape(t).Sum("authcallout_refusals_total", "reason", "bad_request"); n != 0 {
				t.Errorf("%v requests of the spy's reached %s", n, service)
			}
		}
	}
}
