package natsx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap/zaptest"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// patience of a test: it only ends a test that would fail.
const patience = 30 * time.Second

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, s *server.Server, name string) *natsx.Conn {
	t.Helper()
	return connectWith(t, natsx.Config{URLs: []string{s.ClientURL()}}, name)
}

func connectWith(t *testing.T, cfg natsx.Config, name string) *natsx.Conn {
	t.Helper()
	c, err := natsx.Connect(cfg, name, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.WaitConnected(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, c *natsx.Conn, e natsx.Endpoint) *natsx.Server {
	t.Helper()
	e.Name, e.Subject, e.Queue = "check", "auth.v1.token.check", wire.QueueTokencheck
	srv, err := natsx.Serve(c, natsx.Service{
		Name: "tokencheck", Version: "1.2.3", Description: "test", Metadata: map[string]string{"config": "abc"},
		Endpoints: []natsx.Endpoint{e},
		Stats:     func(endpoint string) any { return map[string]string{"endpoint": endpoint} },
	}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func caller(t *testing.T, c *natsx.Conn) *natsx.Caller {
	t.Helper()
	caller, err := natsx.NewCaller(c, natsx.CallerOptions{Neighbour: "tokencheck", Unavailable: wire.TokencheckUnavailable, MaxReplyBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

func wantCode(t *testing.T, err error, code wire.Code) {
	t.Helper()
	var fail *wire.Error
	if !errors.As(err, &fail) || fail.Code != code {
		t.Errorf("got %v, want %v", err, code)
	}
}

// TestServeCounts has many handlers answer at once, from goroutines of their own, and wants every request and every error
// in the statistics, micro's own as far as it sees them.
func TestServeCounts(t *testing.T) {
	s := natstest.Run(t, "")
	conn := connect(t, s, "tokencheck")
	serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) {
		if string(r.Data) == "bad" {
			_ = r.Fail(wire.Fail(wire.TokenExpired, "by 3 s", nil))
			return
		}
		_ = r.Respond(append([]byte("good "), r.Data...))
		_ = r.Fail(wire.Fail(wire.Internal, "no effect after an answer", nil))
	}})
	calls := caller(t, connect(t, s, "callout"))
	const good, bad = 300, 200
	var all sync.WaitGroup
	for i := range good + bad {
		all.Go(func() {
			data := strconv.Itoa(i)
			if i >= good {
				data = "bad"
			}
			reply, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id", Data: []byte(data)})
			if i >= good {
				wantCode(t, err, wire.TokenExpired)
			} else if err != nil || string(reply) != "good "+data {
				t.Errorf("%s: %q, %v", data, reply, err)
			}
		})
	}
	all.Wait()

	var stats micro.Stats
	nc := natstest.Connect(t, s)
	natstest.Eventually(t, "all requests are in the statistics", func() bool {
		m, err := nc.Request("$SRV.STATS.tokencheck", nil, patience)
		if err != nil || json.Unmarshal(m.Data, &stats) != nil {
			t.Fatal(err)
		}
		return load(t, &stats).Handled == good+bad
	})
	e := stats.Endpoints[0]
	if e.NumRequests < 1 || e.NumRequests > good+bad { // requests at once share messages
		t.Errorf("%d messages for %d requests", e.NumRequests, good+bad)
	}
	if e.NumErrors != bad || e.LastError != "token_expired" {
		t.Errorf("%d errors, last %q; want %d, token_expired", e.NumErrors, e.LastError, bad)
	}
	var own natsx.Statistics
	if err := json.Unmarshal(e.Data, &own); err != nil {
		t.Fatal(err)
	}
	if own.Load.Handled != good+bad || own.Load.MeanMillis <= 0 || fmt.Sprint(own.Service) != "map[endpoint:check]" {
		t.Errorf("own figures %s", e.Data)
	}
	if stats.Metadata["config"] != "abc" || stats.Version != "1.2.3" || e.QueueGroup != "tokencheck" {
		t.Errorf("identity %+v, queue group %q", stats.ServiceIdentity, e.QueueGroup)
	}
}

// TestAnswersGoToInboxes: who may ask must not have a service publish where he may not.
func TestAnswersGoToInboxes(t *testing.T) {
	s := natstest.Run(t, "")
	conn := connect(t, s, "policy")
	var handled atomic.Int32
	serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) {
		handled.Add(1)
		_ = r.Respond([]byte("granted"))
	}})
	asking := natstest.Connect(t, s)
	everything, err := asking.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	for reply, answered := range map[string]bool{
		"auth.v1.decision.admitted": false, "device-commands.a": false, "$JS.API.STREAM.PURGE.S": false, "$SYS.REQ.USER.AUTH": false, "auth.v1.token.check": false,
		"_INBOX": false, "_INBOXES.a": false, "x._INBOX.a": false,
		"_INBOX.a": true, "_AUTH_INBOX.callout.a.b.on": true,
	} {
		want := handled.Load() + 1
		if answered {
			want++
		}
		if err := asking.PublishRequest("auth.v1.token.check", reply, nil); err != nil {
			t.Fatal(err)
		}
		// What comes after it has been taken in when this one is answered.
		if _, err := asking.RequestWithContext(within(t, patience), "auth.v1.token.check", nil); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, reply+" is handled or dropped", func() bool { return handled.Load() == want })
	}
	if err := errors.Join(conn.Flush(), asking.Flush()); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := everything.NextMsg(time.Millisecond)
		if err != nil {
			break
		}
		if string(m.Data) == "granted" && !strings.HasPrefix(m.Subject, "_") {
			t.Errorf("answered on %s", m.Subject)
		}
	}
}

// TestPanicIsAnAnswer: a handler's fault is the trouble of one request.
func TestPanicIsAnAnswer(t *testing.T) {
	s := natstest.Run(t, "")
	conn := connect(t, s, "tokencheck")
	var first atomic.Bool
	srv := serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) {
		if !first.Swap(true) {
			panic("broken")
		}
		_ = r.Respond([]byte("well"))
	}})
	asking := natstest.Connect(t, s)
	m, err := asking.RequestWithContext(within(t, patience), "auth.v1.token.check", nil)
	if err != nil {
		t.Fatal(err)
	}
	fail, err := wire.Decode[wire.Error](m.Data, 1<<10)
	if err != nil || fail.Code != wire.Internal || m.Header.Get(wire.HeaderErrorCode) != strconv.Itoa(int(wire.Internal)) {
		t.Errorf("answered with %+v, %q, %v", m.Header, m.Data, err)
	}
	if strings.Contains(string(m.Data), "broken") {
		t.Errorf("the answer tells what broke: %s", m.Data)
	}
	if m, err := asking.RequestWithContext(within(t, patience), "auth.v1.token.check", nil); err != nil || string(m.Data) != "well" {
		t.Errorf("the next one: %+v, %v", m, err)
	}
	if err := srv.Drain(within(t, patience)); err != nil {
		t.Error(err)
	}
}

// load is that of the first endpoint.
func load(t *testing.T, stats *micro.Stats) natsx.Load {
	t.Helper()
	var own natsx.Statistics
	if err := json.Unmarshal(stats.Endpoints[0].Data, &own); err != nil {
		t.Fatal(err)
	}
	return own.Load
}

func TestCallHandsDownBudgetAndID(t *testing.T) {
	s := natstest.Run(t, "")
	serve(t, connect(t, s, "tokencheck"), natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		deadline, _ := ctx.Deadline()
		_ = r.Respond(fmt.Appendf(nil, "%s %d", r.ID, deadline.Sub(r.Received).Milliseconds()))
	}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := caller(t, connect(t, s, "callout")).Call(ctx, natsx.Outgoing{Subject: "auth.v1.token.check", ID: "my-id"})
	if err != nil {
		t.Fatal(err)
	}
	var id string
	var budget int64
	if _, err := fmt.Sscan(string(reply), &id, &budget); err != nil {
		t.Fatal(err)
	}
	if most := patience.Milliseconds() - 10; id != "my-id" || budget > most || budget < most/2 {
		t.Errorf("id %q, budget %d ms; want my-id and a little less than %d", id, budget, patience.Milliseconds())
	}
}

// replica answers on the subject of tokencheck as script says, and counts.
func replica(t *testing.T, s *server.Server, script func(n int32, m *nats.Msg)) *atomic.Int32 {
	t.Helper()
	var n atomic.Int32
	nc := natstest.Connect(t, s)
	if _, err := nc.QueueSubscribe("auth.v1.token.check", wire.QueueTokencheck, func(m *nats.Msg) { script(n.Add(1), m) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return &n
}

func respond(m *nats.Msg, text string) { _ = m.Respond([]byte(text)) }

func refuse(m *nats.Msg, code wire.Code) {
	_ = m.RespondMsg(natstest.ErrorReply(wire.Fail(code, "", nil)))
}

func TestCall(t *testing.T) {
	const unknown wire.Code = 5999
	for _, test := range []struct {
		name     string
		budget   time.Duration
		script   func(n int32, m *nats.Msg)
		want     string
		code     wire.Code
		attempts int32
	}{
		{"good", patience, func(_ int32, m *nats.Msg) { respond(m, "good") }, "good", 0, 1},
		{"the first attempt is lost", 2 * time.Second, func(n int32, m *nats.Msg) {
			if n > 1 {
				respond(m, "good")
			}
		}, "good", 0, 2},
		{"every attempt is lost", 500 * time.Millisecond, func(int32, *nats.Msg) {}, "", wire.TokencheckUnavailable, 3},
		{"a definite error", patience, func(_ int32, m *nats.Msg) { refuse(m, wire.TokenExpired) }, "", wire.TokenExpired, 1},
		{"transient trouble of one replica", patience, func(n int32, m *nats.Msg) {
			if n == 1 {
				refuse(m, wire.KeySetUnavailable)
				return
			}
			respond(m, "good")
		}, "good", 0, 2},
		{"transient trouble of all", patience, func(_ int32, m *nats.Msg) { refuse(m, wire.Overloaded) }, "", wire.Overloaded, 3},
		{"out of time is final", patience, func(_ int32, m *nats.Msg) { refuse(m, wire.OutOfTime) }, "", wire.OutOfTime, 1},
		{"a code of a later release counts as transient", patience, func(_ int32, m *nats.Msg) { refuse(m, unknown) }, "", unknown, 3},
		{"an error without a code", patience, func(_ int32, m *nats.Msg) {
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{wire.HeaderError: {"broken"}}})
		}, "", wire.BadReply, 3},
		{"an error whose body says another code than its header", patience, func(_ int32, m *nats.Msg) {
			reply := natstest.ErrorReply(wire.Fail(wire.TokenExpired, "", nil))
			reply.Header.Set(wire.HeaderErrorCode, "5001")
			_ = m.RespondMsg(reply)
		}, "", wire.Overloaded, 3},
		{"two answers to one attempt", patience, func(_ int32, m *nats.Msg) { respond(m, "good"); respond(m, "late") }, "good", 0, 1},
		{"too long", patience, func(_ int32, m *nats.Msg) { respond(m, strings.Repeat("x", 1<<10+1)) }, "", wire.BadReply, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := natstest.Run(t, "")
			attempts := replica(t, s, test.script)
			reply, err := caller(t, connect(t, s, "callout")).Call(within(t, test.budget), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
			if test.code != 0 {
				wantCode(t, err, test.code)
			} else if err != nil || string(reply) != test.want {
				t.Errorf("%q, %v; want %q", reply, err, test.want)
			}
			if n := attempts.Load(); n > test.attempts || test.code == 0 && n != test.attempts {
				t.Errorf("%d attempts, want %d", n, test.attempts)
			}
		})
	}
}

// TestTroubleLeavesFurtherAttemptsForSilence: what a replica answers at once, as it does to tokens that anybody can make, does not use up what
// is needed where one says nothing.
func TestTroubleLeavesFurtherAttemptsForSilence(t *testing.T) {
	s := natstest.Run(t, "")
	calls := caller(t, connect(t, s, "callout"))
	var silent atomic.Bool
	var dropped atomic.Int32
	attempts := replica(t, s, func(_ int32, m *nats.Msg) {
		switch {
		case !silent.Load():
			refuse(m, wire.KeySetUnavailable)
		case dropped.Add(1) > 1:
			respond(m, "good")
		}
	})
	ask := func(want string, code wire.Code) {
		t.Helper()
		reply, err := calls.Call(within(t, 2*time.Second), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
		if string(reply) != want {
			t.Errorf("%q, %v", reply, err)
		}
		if code != 0 {
			wantCode(t, err, code)
		}
	}
	const logins = 1000
	for range logins {
		ask("", wire.KeySetUnavailable)
	}
	if n := attempts.Load(); n > 2*logins {
		t.Errorf("%d attempts of %d logins in trouble", n, logins)
	}
	silent.Store(true)
	ask("good", 0)
}

func TestCallWithoutResponders(t *testing.T) {
	s := natstest.Run(t, "")
	calls := caller(t, connect(t, s, "callout"))
	_, err := calls.Call(within(t, 200*time.Millisecond), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
	wantCode(t, err, wire.TokencheckUnavailable)

	result := make(chan error, 1)
	go func() {
		_, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
		result <- err
	}()
	replica(t, s, func(_ int32, m *nats.Msg) { respond(m, "good") })
	if err := <-result; err != nil {
		t.Errorf("a replica that came while the call waited: %v", err)
	}

	_, err = calls.Call(t.Context(), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
	wantCode(t, err, wire.Internal) // no deadline
	_, err = calls.Call(within(t, time.Millisecond), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
	wantCode(t, err, wire.OutOfTime)
}

// TestCallWhileDisconnected: the call waits for the connection inside its budget.
func TestCallWhileDisconnected(t *testing.T) {
	opts := natstest.ParseConfig(t, "")
	s := natstest.RunOptions(t, opts)
	c := connect(t, s, "callout")
	calls := caller(t, c)
	opts.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	natstest.Eventually(t, "the client noticed", func() bool { return !c.IsConnected() })
	_, err := calls.Call(within(t, 100*time.Millisecond), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
	wantCode(t, err, wire.TokencheckUnavailable)

	result := make(chan error, 1)
	go func() {
		_, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
		result <- err
	}()
	replica(t, natstest.RunOptions(t, opts), func(_ int32, m *nats.Msg) { respond(m, "good") })
	if err := <-result; err != nil {
		t.Errorf("a server that came back while the call waited: %v", err)
	}
}

// TestRepliesCannotBeForged: who answered an earlier request, and who guesses, reaches no call that waits.
func TestRepliesCannotBeForged(t *testing.T) {
	s := natstest.Run(t, "")
	attacker := natstest.Connect(t, s)
	var earlier string
	replica(t, s, func(n int32, m *nats.Msg) {
		if n == 1 {
			earlier = m.Reply
			respond(m, "first")
			return
		}
		inbox := m.Reply[:strings.LastIndex(m.Reply, ".")+1]
		for _, subject := range []string{earlier, inbox + "guess", m.Reply + "x", strings.Replace(m.Reply, "_AUTH_INBOX", "_INBOX", 1)} {
			if err := attacker.Publish(subject, []byte("forged")); err != nil {
				t.Error(err)
			}
		}
		if err := attacker.Flush(); err != nil {
			t.Error(err)
		}
		respond(m, "second")
	})
	c := connect(t, s, "callout")
	if !strings.HasPrefix(c.NewInbox(), "_AUTH_INBOX.callout.") {
		t.Errorf("inbox %q", c.NewInbox())
	}
	calls := caller(t, c)
	for _, want := range []string{"first", "second"} {
		if reply, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"}); err != nil || string(reply) != want {
			t.Fatalf("%q, %v; want %q", reply, err, want)
		}
	}
}

func TestDrainAnswersWhatItTook(t *testing.T) {
	s := natstest.Run(t, "")
	release, started := make(chan struct{}), make(chan struct{}, 100)
	srv := serve(t, connect(t, s, "tokencheck"), natsx.Endpoint{MaxInFlight: 2, Handle: func(_ context.Context, r *natsx.Request) {
		started <- struct{}{}
		<-release
		_ = r.Respond(r.Data)
	}})
	calls := caller(t, connect(t, s, "callout"))
	results := make(chan error, 5)
	for range cap(results) {
		go func() {
			_, err := calls.Call(within(t, 2*patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id", Data: []byte("x")})
			results <- err
		}()
	}
	<-started
	<-started
	natstest.Eventually(t, "the others wait", func() bool {
		var stats micro.Stats
		m, err := natstest.Connect(t, s).Request("$SRV.STATS.tokencheck", nil, patience)
		if err != nil || json.Unmarshal(m.Data, &stats) != nil {
			t.Fatal(err)
		}
		l := load(t, &stats)
		return l.Running+l.Waiting == cap(results)
	})

	ended := make(chan error, 1)
	go func() { ended <- srv.Drain(within(t, patience)) }()
	natstest.Eventually(t, "the subscription is gone", func() bool {
		_, err := calls.Call(within(t, 50*time.Millisecond), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("drained with requests unanswered: %v", err)
	default:
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestDrainEndsWithItsContext: what it leaves behind is not served any more, to whoever looks at the metrics.
func TestDrainEndsWithItsContext(t *testing.T) {
	s := natstest.Run(t, "")
	conn := connect(t, s, "tokencheck")
	release, started := make(chan struct{}), make(chan struct{})
	defer close(release)
	srv := serve(t, conn, natsx.Endpoint{Handle: func(context.Context, *natsx.Request) {
		close(started)
		<-release
	}})
	nc := natstest.Connect(t, s)
	if err := nc.PublishRequest("auth.v1.token.check", "_INBOX.nobody", nil); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := srv.Drain(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want deadline exceeded", err)
	}
	if err := srv.Drain(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("once more: %v, want deadline exceeded", err)
	}
	serve(t, conn, natsx.Endpoint{MaxInFlight: 7, Handle: func(context.Context, *natsx.Request) {}})
	if limit := metric(t, conn, "authcallout_requests_limit"); limit != 7 {
		t.Errorf("a limit of %v, want that of the one that serves, 7", limit)
	}
}

func TestLostOnWrongCredentials(t *testing.T) {
	s := natstest.Run(t, `authorization { users: [ {user: auth, password: right} ] }`)
	file := secret(t, "right")
	cfg := natsx.Config{URLs: []string{s.ClientURL()}, User: "auth", PasswordFile: file}
	c := connectWith(t, cfg, "callout")

	// A replaced password is read at the next connect.
	write(t, file, "wrong")
	if err := c.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Lost():
	case <-time.After(patience):
		t.Fatal("a connection that the server refuses for good is not lost")
	}
}

func TestCloseIsNotLost(t *testing.T) {
	c := connect(t, natstest.Run(t, ""), "callout")
	c.Close()
	natstest.Eventually(t, "closed", c.IsClosed)
	select {
	case <-c.Lost():
		t.Error("a connection closed on purpose counts as lost")
	default:
	}
}

func TestConnectRefusesSecretsItCannotRead(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]natsx.Config{
		"missing password": {User: "auth", PasswordFile: "/nonexistent/password"},
		"missing seed":     {NkeySeedFile: "/nonexistent/seed"},
		"no seed":          {NkeySeedFile: secret(t, "SUPERSECRET")},
		"an account seed":  {NkeySeedFile: secret(t, string(seed))},
		"missing creds":    {CredsFile: "/nonexistent/user.creds"},
		"missing CA":       {TLS: natsx.TLS{CAFile: "/nonexistent/ca.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := natsx.Connect(cfg, "callout", zaptest.NewLogger(t))
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
			if strings.Contains(err.Error(), "SUPERSECRET") || strings.Contains(err.Error(), string(seed)) {
				t.Error("the error holds the secret")
			}
		})
	}
}

// TestLeastPermissions has each service do in the hardened topology all that it needs there.
func TestLeastPermissions(t *testing.T) {
	top := natstest.Hardened(t, false)
	s := top.Run(t)
	tokencheck := connectWith(t, top.NATS("tokencheck", s), "tokencheck")
	serve(t, tokencheck, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) {
		if len(r.Data) == 0 {
			_ = r.Fail(wire.Fail(wire.BadRequest, "", nil))
			return
		}
		_ = r.Respond(r.Data)
	}})
	c := connectWith(t, top.NATS("callout", s), "callout")
	calls := caller(t, c)
	if reply, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id", Data: []byte("x")}); err != nil || string(reply) != "x" {
		t.Errorf("%q, %v", reply, err)
	}
	_, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"})
	wantCode(t, err, wire.BadRequest)
	if m, err := c.Request("auth.kick."+s.ID(), []byte(`{"cid":0}`), patience); err != nil || len(m.Data) == 0 {
		t.Errorf("KICK: %v", err)
	}
	for _, conn := range []*natsx.Conn{tokencheck, c} {
		if err := conn.LastError(); err != nil {
			t.Errorf("the server refused something: %v", err)
		}
	}
}

// TestTwoRegistrationsAnswer: while a service registers anew, one connection answers a $SRV request twice.
func TestTwoRegistrationsAnswer(t *testing.T) {
	s := natstest.Run(t, fmt.Sprintf("authorization: {users: [{user: operator, password: secret}, {user: tokencheck, password: secret, permissions: %s}]}",
		natstest.TokencheckPermissions))
	c := connectWith(t, natsx.Config{URLs: []string{s.ClientURL()}, User: "tokencheck", PasswordFile: secret(t, "secret")}, "tokencheck")
	handle := natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) { _ = r.Respond(r.Data) }}
	serve(t, c, handle)
	serve(t, c, handle)
	operator := natstest.Connect(t, s, nats.UserInfo("operator", "secret"))
	for range 100 {
		inbox := nats.NewInbox()
		sub, err := operator.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		if err := operator.PublishRequest("$SRV.INFO.tokencheck", inbox, nil); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if _, err := sub.NextMsg(patience); err != nil {
				t.Fatalf("answer %d of 2: %v; the server said: %v", n+1, err, c.LastError())
			}
		}
		_ = sub.Unsubscribe() // the connection closes with the test
	}
	if err := c.LastError(); err != nil {
		t.Errorf("the server refused something: %v", err)
	}
}

func secret(t *testing.T, content string) config.Path {
	t.Helper()
	file := config.Path(t.TempDir() + "/secret")
	write(t, file, content)
	return file
}

func write(t *testing.T, file config.Path, content string) {
	t.Helper()
	if err := os.WriteFile(string(file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
