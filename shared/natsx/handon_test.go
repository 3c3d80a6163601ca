package natsx_test

import (
	"context"
	"errors"
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

// callerOnward calls a tokencheck that hands on.
func callerOnward(t *testing.T, c *natsx.Conn) *natsx.Caller {
	t.Helper()
	caller, err := natsx.NewCaller(c, natsx.CallerOptions{Neighbour: "tokencheck", Unavailable: wire.TokencheckUnavailable, MaxReplyBytes: 1 << 10, HandsOn: true})
	if err != nil {
		t.Fatal(err)
	}
	return caller
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
	calls := callerOnward(t, callout)
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			text := string(rune('a' + i%26))
			answer, err := calls.CallOnward(within(t, patience), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: "id-" + text, Data: []byte(text)})
			if want := "id-" + text + " checked " + text; err != nil || string(answer.Data) != want || !answer.HandedOn || answer.Unanswered {
				t.Errorf("%q, %+v, %v, want %q", answer.Data, answer, err, want)
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

// TestWhoMayAnswerWhatWasHandedOn: with the least permissions tokencheck cannot answer in the place of policy, to which alone the
// requester listens for a grant; and a call to one who answers himself takes nothing from others.
func TestWhoMayAnswerWhatWasHandedOn(t *testing.T) {
	top := natstest.Hardened(t, false)
	s := top.Run(t)
	tokencheck := connectWith(t, top.NATS("tokencheck", s), "tokencheck")
	refused := make(chan struct{}, 10)
	tokencheck.OnRefused("_AUTH_INBOX", func(error) { refused <- struct{}{} })
	callout := connectWith(t, top.NATS("callout", s), "callout")
	if _, err := tokencheck.QueueSubscribe("auth.v1.token.check", "tokencheck", func(m *nats.Msg) {
		_ = tokencheck.PublishMsg(&nats.Msg{Subject: m.Reply + wire.HandedOnReply, Data: []byte("forged")})
		_ = tokencheck.Flush()
		_ = m.Respond([]byte("own"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := tokencheck.Flush(); err != nil {
		t.Fatal(err)
	}
	answer, err := callerOnward(t, callout).CallOnward(within(t, patience), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: "id"})
	if err != nil || string(answer.Data) != "own" || answer.HandedOn {
		t.Errorf("%q, %+v, %v", answer.Data, answer, err)
	}
	select {
	case <-refused:
	case <-within(t, patience).Done():
		t.Error("nats-server refused nothing")
	}

	open := natstest.Run(t, "")
	replica(t, open, func(_ int32, m *nats.Msg) {
		respond(&nats.Msg{Reply: m.Reply + wire.HandedOnReply, Sub: m.Sub}, "another way")
		respond(m, "own")
	})
	if reply, err := caller(t, connect(t, open, "callout")).Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"}); err != nil || string(reply) != "own" {
		t.Errorf("%q, %v", reply, err)
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
	calls := callerOnward(t, connect(t, s, "callout"))
	ask := func(want string) {
		t.Helper()
		reply, err := calls.Call(within(t, 20*time.Second), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: "id"})
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

// TestHandOnWithoutReply: what nobody waits for is not handed on.
func TestHandOnWithoutReply(t *testing.T) {
	s := natstest.Run(t, "")
	observer := natstest.Connect(t, s)
	arrived, err := observer.SubscribeSync(decide)
	if err != nil {
		t.Fatal(err)
	}
	if err := observer.Flush(); err != nil {
		t.Fatal(err)
	}
	tokencheck := connect(t, s, "tokencheck")
	toPolicy := onward(t, tokencheck)
	failed := make(chan error, 1)
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		failed <- r.HandOn(ctx, toPolicy, nil, nil)
	}})
	if err := observer.Publish("auth.v1.token.check", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, nats.ErrMsgNoReply) {
		t.Errorf("%v, want %v", err, nats.ErrMsgNoReply)
	}
	if err := errors.Join(tokencheck.Flush(), observer.Flush()); err != nil { // what was sent is there now
		t.Fatal(err)
	}
	if n, _, err := arrived.Pending(); n != 0 || err != nil {
		t.Errorf("%d messages were handed on, %v", n, err)
	}
}

// TestHandOnRefused: what the server does not let pass is answered here, all that is on its way.
func TestHandOnRefused(t *testing.T) {
	s := natstest.Run(t, `authorization { users: [
		{ user: callout, password: secret }
		{ user: tokencheck, password: secret, permissions: { publish: { deny: ">" }, subscribe: ">", allow_responses: { max: 5, expires: "10s" } } }
	] }`)
	user := func(name string) natsx.Config {
		return natsx.Config{URLs: []string{s.ClientURL()}, User: name, PasswordFile: secret(t, "secret")}
	}
	tokencheck := connectWith(t, user("tokencheck"), "tokencheck")
	told := make(chan struct{}, 100)
	toPolicy := tokencheck.Onward(decide, func(error) { told <- struct{}{} })
	const requests = 20
	var come atomic.Int32
	together := make(chan struct{})
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		if come.Add(1) == requests {
			close(together)
		}
		<-together
		// It fails where all were answered before, and the test is over.
		_ = r.HandOn(ctx, toPolicy, []byte("onward"), []byte("otherwise "+r.ID))
	}})
	calls := callerOnward(t, connectWith(t, user("callout"), "callout"))
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			id := "id-" + string(rune('a'+i))
			answer, err := calls.CallOnward(within(t, patience), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: id, Again: []byte("asked again")})
			if err != nil || string(answer.Data) != "otherwise "+id || answer.HandedOn {
				t.Errorf("%q, %v", answer.Data, err)
			}
		})
	}
	all.Wait()
	if toPolicy.Open() {
		t.Error("the way counts as open")
	}
	select {
	case <-told:
	case <-within(t, patience).Done():
		t.Error("nobody is told")
	}
}

// TestAgain: a further attempt sends what it is to send in place of the first, and one that nobody got is no attempt.
func TestAgain(t *testing.T) {
	s := natstest.Run(t, "")
	calls := callerOnward(t, connect(t, s, "callout"))
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
