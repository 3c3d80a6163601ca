package natsx_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

const decide = "auth.v1.policy.decide"

// onward is the way to policy, on which nothing must be refused.
func onward(t *testing.T, c *natsx.Conn) *natsx.Onward {
	t.Helper()
	return c.Onward(decide, func(err error) { t.Errorf("refused: %v", err) })
}

// TestHandOn: what tokencheck hands on is answered to the callout, with the least permissions, and many at once get their own answers.
func TestHandOn(t *testing.T) {
	top := natstest.Hardened(t, false)
	s := top.Run(t)
	tokencheck := connectWith(t, top.NATS("tokencheck", s), "tokencheck")
	toPolicy := onward(t, tokencheck)
	srv := serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		if err := r.HandOn(ctx, toPolicy, append([]byte("checked "), r.Data...), nil); err != nil {
			t.Error(err)
		}
		_ = r.Respond([]byte("no effect after it was handed on"))
	}})
	policy := connectWith(t, top.NATS("policy", s), "policy")
	if _, err := policy.QueueSubscribe(decide, "policy", func(m *nats.Msg) {
		_ = m.Respond(append([]byte(m.Header.Get(wire.HeaderRequestID)+" "), m.Data...))
	}); err != nil {
		t.Fatal(err)
	}
	if err := policy.Flush(); err != nil {
		t.Fatal(err)
	}
	callout := connectWith(t, top.NATS("callout", s), "callout")
	calls := caller(t, callout)
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			text := string(rune('a' + i%26))
			reply, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id-" + text, Data: []byte(text)})
			if want := "id-" + text + " checked " + text; err != nil || string(reply) != want {
				t.Errorf("%q, %v, want %q", reply, err, want)
			}
		})
	}
	all.Wait()
	if err := srv.Drain(within(t, patience)); err != nil {
		t.Error(err)
	}
	for _, c := range []*natsx.Conn{tokencheck, policy, callout} {
		if err := c.LastError(); err != nil {
			t.Errorf("the server refused something: %v", err)
		}
	}
}

// TestHandOnShavesTheBudget: what is handed on has less of it, and with too little left it is still to be answered.
func TestHandOnShavesTheBudget(t *testing.T) {
	s := natstest.Run(t, "")
	budgets := make(chan string, 1)
	if _, err := natstest.Connect(t, s).Subscribe(decide, func(m *nats.Msg) {
		budgets <- m.Header.Get(wire.HeaderBudget)
		_ = m.Respond([]byte("granted"))
	}); err != nil {
		t.Fatal(err)
	}
	tokencheck := connect(t, s, "tokencheck")
	toPolicy := onward(t, tokencheck)
	tooLate := func(ctx context.Context, r *natsx.Request) {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		wantCode(t, r.HandOn(short, toPolicy, nil, nil), wire.OutOfTime)
		_ = r.Respond([]byte("by itself"))
	}
	inTime := func(ctx context.Context, r *natsx.Request) {
		if err := r.HandOn(ctx, toPolicy, nil, nil); err != nil {
			t.Error(err)
		}
	}
	var handle atomic.Value
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		handle.Load().(func(context.Context, *natsx.Request))(ctx, r)
	}})
	calls := caller(t, connect(t, s, "callout"))
	ask := func(want string) {
		t.Helper()
		reply, err := calls.Call(within(t, 20*time.Second), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
		if err != nil || string(reply) != want {
			t.Errorf("%q, %v", reply, err)
		}
	}
	handle.Store(inTime)
	ask("granted")
	left, err := time.ParseDuration(<-budgets + "ms")
	if err != nil || left <= 0 || left > 20*time.Second-20*time.Millisecond {
		t.Errorf("%v of 20 s are left, %v; each of two hops takes 10 ms", left, err)
	}
	handle.Store(tooLate)
	ask("by itself")
}

// TestHandOnRefused: what the server does not let pass is answered here, all that is on its way, and the refusal is told once.
func TestHandOnRefused(t *testing.T) {
	s := natstest.Run(t, `authorization { users: [
		{ user: callout, password: secret }
		{ user: tokencheck, password: secret, permissions: { publish: { deny: ">" }, subscribe: ">", allow_responses: { max: 5, expires: "10s" } } }
	] }`)
	user := func(name string) natsx.Config {
		return natsx.Config{URLs: []string{s.ClientURL()}, User: name, PasswordFile: secret(t, "secret")}
	}
	tokencheck := connectWith(t, user("tokencheck"), "tokencheck")
	told := make(chan error, 100)
	toPolicy := tokencheck.Onward(decide, func(err error) { told <- err })
	const requests = 20
	var come atomic.Int32
	together := make(chan struct{})
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		if come.Add(1) == requests {
			close(together)
		}
		<-together
		if err := r.HandOn(ctx, toPolicy, []byte("onward"), []byte("otherwise "+r.ID)); err != nil {
			t.Error(err)
		}
	}})
	calls := caller(t, connectWith(t, user("callout"), "callout"))
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			id := "id-" + string(rune('a'+i))
			reply, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: id, Again: []byte("asked again")})
			if err != nil || string(reply) != "otherwise "+id {
				t.Errorf("%q, %v", reply, err)
			}
		})
	}
	all.Wait()
	if toPolicy.Open() {
		t.Error("the way counts as open")
	}
	if err := <-told; err == nil {
		t.Error("told without a reason")
	}
	select {
	case err := <-told:
		t.Errorf("told again: %v", err)
	default:
	}
}

// TestAgain: a further attempt sends what it is to send in place of the first, and one that nobody got is no attempt.
func TestAgain(t *testing.T) {
	s := natstest.Run(t, "")
	calls := caller(t, connect(t, s, "callout"))
	result := make(chan error, 1)
	go func() {
		reply, err := calls.Call(within(t, 2*time.Second), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id", Data: []byte("first"), Again: []byte("again")})
		if string(reply) != "good" {
			t.Errorf("%q", reply)
		}
		result <- err
	}()
	attempts := replica(t, s, func(n int32, m *nats.Msg) {
		if want := map[int32]string{1: "first", 2: "again"}[n]; string(m.Data) != want {
			t.Errorf("attempt %d: %q, want %q", n, m.Data, want)
		}
		if n == 2 {
			respond(m, "good")
		}
	})
	if err := <-result; err != nil || attempts.Load() != 2 {
		t.Errorf("%d attempts, %v", attempts.Load(), err)
	}
}
