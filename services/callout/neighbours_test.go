package callout

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap/zaptest"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// near is a server with a remote on it, and connections for what it asks.
type near struct {
	remote             *remote
	tokencheck, policy *nats.Conn
}

func newNear(t *testing.T) *near {
	t.Helper()
	s := natstest.Run(t, "")
	conn, err := natsx.Connect(natsx.Config{URLs: []string{s.ClientURL()}}, wire.QueueCallout, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &near{remote: must(newRemote(conn, must(wire.NewSubjects("")))), tokencheck: natstest.Connect(t, s), policy: natstest.Connect(t, s)}
	return n
}

// check asks as a login with this budget does.
func (n *near) check(t *testing.T, budget time.Duration) (*wire.Verified, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	return n.remote.check(ctx, "id", &wire.CheckRequest{Token: deviceToken, Client: &wire.Client{Host: "192.0.2.7"}})
}

const longBudget = 20 * time.Second

// fakeTokencheck counts how often it is asked to hand on, and how often not.
func (n *near) fakeTokencheck(t *testing.T) (handOn, alone *atomic.Int32) {
	t.Helper()
	handOn, alone = new(atomic.Int32), new(atomic.Int32)
	natstest.FakeTokencheck(t, n.tokencheck, func(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
		if q.Client == nil {
			alone.Add(1)
		} else {
			handOn.Add(1)
		}
		return goodToken(q)
	})
	return handOn, alone
}

func TestCheckIsHandedOn(t *testing.T) {
	n := newNear(t)
	_, alone := n.fakeTokencheck(t)
	natstest.FakePolicy(t, n.policy, func(q *wire.DecideRequest) (*wire.Grant, *wire.Error) {
		if q.Client.Host != "192.0.2.7" || q.Token.Subject != "314159" || len(q.Token.Claims) == 0 {
			t.Errorf("policy is asked about %+v", q)
		}
		return deviceGrant(), nil
	})
	v, err := n.check(t, longBudget)
	if err != nil {
		t.Fatal(err)
	}
	if v.Grant == nil || v.Grant.Device != "sensor-a" || v.Issuer != "https://idp.example.com" || v.Subject != "314159" || v.CheckMicros != 1 {
		t.Errorf("%+v", v)
	}
	if alone.Load() != 0 {
		t.Error("tokencheck was asked more than once")
	}
}

// A refusal of policy says whose token it was.
func TestRefusalOfWhatWasHandedOn(t *testing.T) {
	n := newNear(t)
	n.fakeTokencheck(t)
	natstest.FakePolicy(t, n.policy, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) {
		return nil, wire.Fail(wire.NoMatchingRule, "", nil)
	})
	_, err := n.check(t, longBudget)
	fail := asFailure(err)
	if fail.Code != wire.NoMatchingRule || fail.Verified == nil || fail.Verified.Subject != "314159" || fail.Verified.Grant != nil {
		t.Errorf("%v, of %+v", fail, fail.Verified)
	}
}

// Nobody says that what was handed on met no policy: the next attempt is tokencheck's alone.
func TestHandedOnToNobody(t *testing.T) {
	n := newNear(t)
	handOn, alone := n.fakeTokencheck(t)
	v, err := n.check(t, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if v.Grant != nil || len(v.Claims) == 0 || handOn.Load() != 1 || alone.Load() != 1 {
		t.Errorf("%+v after %d and %d attempts", v, handOn.Load(), alone.Load())
	}
	// For a while the next ones need not find that out again.
	if _, err := n.check(t, 2*time.Second); err != nil || handOn.Load() != 1 || alone.Load() != 2 {
		t.Errorf("%v after %d and %d attempts", err, handOn.Load(), alone.Load())
	}
}

// While policy is away a whole burst is lost on the way, more than the death of a replica costs, and each is asked for again.
func TestManyHandedOnToNobody(t *testing.T) {
	n := newNear(t)
	handOn, alone := n.fakeTokencheck(t)
	const logins = 1000
	var all sync.WaitGroup
	for range logins {
		all.Go(func() {
			if v, err := n.check(t, longBudget/2); err != nil || v.Grant != nil {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	all.Wait()
	if handOn.Load() < logins/2 || alone.Load() < handOn.Load() {
		t.Errorf("%d handed on, %d alone", handOn.Load(), alone.Load())
	}
}

// A policy of a release before answers what it takes for an ordinary request. Replicas of two releases must not cost a client.
func TestHandedOnToAnEarlierRelease(t *testing.T) {
	n := newNear(t)
	handOn, alone := n.fakeTokencheck(t)
	grant := must(wire.Encode(deviceGrant()))
	if _, err := n.policy.QueueSubscribe("auth.v1.policy.decide", wire.QueuePolicy, func(m *nats.Msg) { _ = m.Respond(grant) }); err != nil {
		t.Fatal(err)
	}
	if err := n.policy.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		v, err := n.check(t, longBudget)
		if err != nil {
			t.Fatal(err)
		}
		if v.Grant != nil || v.Subject != "314159" || len(v.Claims) == 0 {
			t.Errorf("%+v", v)
		}
	}
	if handOn.Load() != 1 || alone.Load() != 3 {
		t.Errorf("tokencheck was asked to hand on %d times, and %d times not to; want 1 and 3", handOn.Load(), alone.Load())
	}
}

func TestCheckWithoutHandingOn(t *testing.T) {
	for name, row := range map[string]struct {
		reply wire.Verified
		code  wire.Code
	}{
		"a tokencheck of a release before": {reply: *verified(time.Now().Add(time.Hour))},
		"no subject":                       {reply: wire.Verified{Issuer: "i", ExpiresAt: 1, Claims: []byte(`{}`)}, code: wire.BadReply},
		"no end":                           {reply: wire.Verified{Issuer: "i", Subject: "s", Claims: []byte(`{}`)}, code: wire.BadReply},
		"no claims":                        {reply: wire.Verified{Issuer: "i", Subject: "s", ExpiresAt: 1}, code: wire.BadReply},
		"nothing":                          {code: wire.BadReply},
		"a grant without a token":          {reply: wire.Verified{Grant: deviceGrant()}, code: wire.BadReply},
		"a grant of its own":               {reply: wire.Verified{Issuer: "i", Subject: "s", ExpiresAt: 1, Claims: []byte(`{}`), Grant: deviceGrant()}, code: wire.BadReply},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNear(t)
			data := must(wire.Encode(&row.reply))
			if _, err := n.tokencheck.QueueSubscribe("auth.v1.token.check", wire.QueueTokencheck, func(m *nats.Msg) { _ = m.Respond(data) }); err != nil {
				t.Fatal(err)
			}
			if err := n.tokencheck.Flush(); err != nil {
				t.Fatal(err)
			}
			v, err := n.check(t, longBudget)
			if row.code != 0 {
				if got := wire.CodeOf(err); err == nil || got != row.code {
					t.Errorf("%+v, %v; want %v", v, err, row.code)
				}
				return
			}
			if err != nil || v.Grant != nil || v.Subject != "314159" {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// TestTroubleIsNoSilence: an attempt that was answered with transient trouble does not end the handing on of others.
func TestTroubleIsNoSilence(t *testing.T) {
	n := newNear(t)
	var trouble atomic.Bool
	var handOn atomic.Int32
	natstest.FakeTokencheck(t, n.tokencheck, func(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
		if trouble.Load() {
			return nil, wire.Fail(wire.KeySetUnavailable, "", nil)
		}
		if q.Client != nil {
			handOn.Add(1)
		}
		return goodToken(q)
	})
	natstest.FakePolicy(t, n.policy, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) { return deviceGrant(), nil })
	trouble.Store(true)
	if _, err := n.check(t, longBudget); wire.CodeOf(err) != wire.KeySetUnavailable {
		t.Fatalf("trouble is %v", err)
	}
	trouble.Store(false)
	if v, err := n.check(t, longBudget); err != nil || v.Grant == nil || handOn.Load() != 1 {
		t.Errorf("the next login is handed on %d times: %+v, %v", handOn.Load(), v, err)
	}
}

// TestAnAnswerEndsNoPauseOfAnother: what was handed on before the pause, and is answered in it, says nothing about policy now.
func TestAnAnswerEndsNoPauseOfAnother(t *testing.T) {
	n := newNear(t)
	n.fakeTokencheck(t)
	natstest.FakePolicy(t, n.policy, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) {
		n.remote.pause.extend(afterEarlierRelease) // another login meets an earlier release meanwhile
		return deviceGrant(), nil
	})
	if v, err := n.check(t, longBudget); err != nil || v.Grant == nil {
		t.Fatalf("%+v, %v", v, err)
	}
	if ok, _ := n.remote.pause.over(); ok {
		t.Error("the pause is over")
	}
}

// TestAnotherConnection: a tokencheck in the wrong hands tells policy of another address, or of a certificate that was not shown.
func TestAnotherConnection(t *testing.T) {
	n := newNear(t)
	if _, err := n.tokencheck.QueueSubscribe("auth.v1.token.check", wire.QueueTokencheck, func(m *nats.Msg) {
		other := wire.Client{Host: "192.0.2.7", TLS: &wire.ClientTLS{DNS: []string{"sensor-b"}}}
		data := must(wire.Encode(&wire.DecideRequest{Token: *verified(time.Now().Add(time.Hour)), Client: other, HandedOn: &wire.HandedOn{}}))
		_ = n.tokencheck.PublishMsg(&nats.Msg{Subject: "auth.v1.policy.decide", Reply: m.Reply + wire.HandedOnReply, Data: data, Header: m.Header})
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.tokencheck.Flush(); err != nil {
		t.Fatal(err)
	}
	natstest.FakePolicy(t, n.policy, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) { return deviceGrant(), nil })
	if v, err := n.check(t, longBudget); wire.CodeOf(err) != wire.BadReply {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestGrantsThatNobodyAskedFor: a tokencheck in the wrong hands has policy answer where the callout waits, again and again. It gets one question
// more at most, and the answer is dropped where nothing was to be handed on.
func TestGrantsThatNobodyAskedFor(t *testing.T) {
	n := newNear(t)
	var asked atomic.Int32
	grant := must(wire.Encode(deviceGrant()))
	plain := must(wire.Encode(verified(time.Now().Add(time.Hour))))
	if _, err := n.tokencheck.QueueSubscribe("auth.v1.token.check", wire.QueueTokencheck, func(m *nats.Msg) {
		asked.Add(1)
		_ = n.tokencheck.Publish(m.Reply+wire.HandedOnReply, grant)
		_ = m.Respond(plain)
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.tokencheck.Flush(); err != nil {
		t.Fatal(err)
	}
	for login, want := range []int32{2, 3, 4} { // the first asks to hand on
		v, err := n.check(t, longBudget)
		if err != nil || v.Grant != nil || v.Subject != "314159" || asked.Load() != want {
			t.Errorf("login %d: %+v, %v, after %d questions, want %d", login, v, err, asked.Load(), want)
		}
	}
}

// TestSlowRefusalIsNoSilence: a token over which tokencheck takes its time says nothing about policy, however bad it is.
func TestSlowRefusalIsNoSilence(t *testing.T) {
	n := newNear(t)
	var slow atomic.Bool
	attempts := make(chan struct{}, 2)
	both := make(chan struct{})
	natstest.FakeTokencheck(t, n.tokencheck, func(q *wire.CheckRequest) (*wire.Verified, *wire.Error) {
		if slow.Load() {
			attempts <- struct{}{}
			<-both
			return nil, wire.Fail(wire.TokenInactive, "", nil)
		}
		return goodToken(q)
	})
	natstest.FakePolicy(t, n.policy, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) { return deviceGrant(), nil })
	slow.Store(true)
	go func() { // answers when the first attempt was taken for lost
		<-attempts
		<-attempts
		close(both)
	}()
	if _, err := n.check(t, 2*time.Second); wire.CodeOf(err) != wire.TokenInactive {
		t.Fatalf("the slow one: %v", err)
	}
	slow.Store(false)
	if v, err := n.check(t, longBudget); err != nil || v.Grant == nil {
		t.Errorf("the next one is not handed on: %+v, %v", v, err)
	}
}
