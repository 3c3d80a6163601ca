package callout

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/wire"
)

// requestOf returns a request of a server that nobody saw before.
func requestOf(t *testing.T) *authRequest {
	t.Helper()
	return openedRequest(t)
}

func TestServersByID(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	mine, stranger := requestOf(t), requestOf(t)
	s := newServers(&Config{ServerIDs: []string{mine.ServerID}, ClientPatience: defaultPatience}, zap.New(core), time.Now, nil)
	for range 3 {
		wantCode(t, s.admit(t.Context(), mine), 0)
		wantCode(t, s.admit(t.Context(), stranger), wire.RequestServer)
	}
	entries := logs.FilterField(zap.String(logx.ServerID, stranger.ServerID)).AllUntimed()
	if len(entries) != 1 || entries[0].Message != "a server that is not known asks; add its id to server_ids if it is one of yours" {
		t.Errorf("the stranger is logged as %v", entries)
	}
}

func TestServersWithoutAList(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	s := newServers(&Config{ClientPatience: defaultPatience}, zap.New(core), time.Now, nil)
	req := requestOf(t)
	for range 3 {
		wantCode(t, s.admit(t.Context(), req), 0)
	}
	if n := logs.FilterField(zap.String(logx.ServerID, req.ServerID)).Len(); n != 1 {
		t.Errorf("%d hints", n)
	}
	req.Issuer = newIssuer(t).public
	wantCode(t, s.admit(t.Context(), req), 0)
	if logs.FilterMessage("a server trusts another issuer now").Len() != 1 {
		t.Error("the other issuer is not logged")
	}
	req.Wait = time.Second
	for range 3 * settleAfter {
		wantCode(t, s.admit(t.Context(), req), 0)
	}
	if n := logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 1 {
		t.Errorf("times that do not fit are logged %d times", n)
	}
	for range 3 * maxServers {
		other := *req
		other.ServerID = must(must(nkeys.CreateServer()).PublicKey())
		s.note(&other)
	}
	if len(s.seen) > maxServers {
		t.Errorf("%d servers are remembered", len(s.seen))
	}
}

// TestServerForgottenWhileAsked: it is known when it answers.
func TestServerForgottenWhileAsked(t *testing.T) {
	req := requestOf(t)
	var s *servers
	s = newServers(&Config{VerifyServers: true, ClientPatience: defaultPatience}, zap.NewNop(), time.Now, func(context.Context, string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forgetOne()
		return nil
	})
	wantCode(t, s.admit(t.Context(), req), 0)
	if known, _ := s.found(req.ServerID); !known {
		t.Error("it is not known")
	}
}

// TestStrangersFillNoLog: there may be any number of made-up servers.
func TestStrangersFillNoLog(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	mine := requestOf(t)
	s := newServers(&Config{ServerIDs: []string{mine.ServerID}, ClientPatience: defaultPatience}, zap.New(core), time.Now, nil)
	for range 100 * strangersBurst {
		other := *mine
		other.ServerID = must(must(nkeys.CreateServer()).PublicKey())
		wantCode(t, s.admit(t.Context(), &other), wire.RequestServer)
	}
	if n := logs.Len(); n < strangersBurst || n > 3*strangersBurst {
		t.Errorf("%d entries", n)
	}
}

func TestServersThatAreAsked(t *testing.T) {
	now := time.Now()
	var asked atomic.Int64
	answer := func(context.Context, string) error { return nil }
	s := newServers(&Config{VerifyServers: true, ClientPatience: defaultPatience}, zap.NewNop(), func() time.Time { return now },
		func(ctx context.Context, id string) error { asked.Add(1); return answer(ctx, id) })

	// A storm of logins at a new server asks once.
	release := make(chan struct{})
	answer = func(context.Context, string) error { <-release; return nil }
	genuine := requestOf(t)
	var storm sync.WaitGroup
	var admitted atomic.Int64
	for range 200 {
		storm.Go(func() {
			if s.admit(t.Context(), genuine) == nil {
				admitted.Add(1)
			}
		})
	}
	natstest.Eventually(t, "somebody asks", func() bool { return asked.Load() > 0 })
	close(release)
	storm.Wait()
	wantCode(t, s.admit(t.Context(), genuine), 0)
	wantCode(t, s.lead(t.Context(), genuine), 0) // as one that looked before the answer was kept
	if asked.Load() != 1 || admitted.Load() != 200 {
		t.Errorf("asked %d times, %d of 200 admitted", asked.Load(), admitted.Load())
	}

	asked.Store(0)
	answer = func(context.Context, string) error { return nats.ErrNoResponders }
	forged := requestOf(t)
	for range 10 {
		wantCode(t, s.admit(t.Context(), forged), wire.RequestServer)
		wantCode(t, s.lead(t.Context(), forged), wire.RequestServer)
	}
	if asked.Load() != 1 {
		t.Errorf("a stranger is asked after %d times", asked.Load())
	}
	now = now.Add(strangerFor)
	answer = func(context.Context, string) error { return nil }
	wantCode(t, s.admit(t.Context(), forged), 0)

	// What is not known for certain refuses nobody for good.
	answer = func(context.Context, string) error { return errors.New("timeout") }
	busy := requestOf(t)
	wantCode(t, s.admit(t.Context(), busy), wire.Internal)
	answer = func(context.Context, string) error { return nil }
	wantCode(t, s.admit(t.Context(), busy), 0)

	asked.Store(0)
	answer = func(context.Context, string) error { return nats.ErrNoResponders }
	for range 10 * askBurst {
		other := *forged
		other.ServerID = must(must(nkeys.CreateServer()).PublicKey())
		_ = s.admit(t.Context(), &other)
	}
	for range 2 * maxServers {
		other := *forged
		other.ServerID = must(must(nkeys.CreateServer()).PublicKey())
		s.note(&other)
	}
	if known, _ := s.found(genuine.ServerID); !known || len(s.seen) > maxServers {
		t.Errorf("a server that answered is known: %t, among %d; made-up ones come in any number", known, len(s.seen))
	}
	if asked.Load() > 5*askBurst {
		t.Errorf("%d of %d made-up servers were asked after", asked.Load(), 10*askBurst)
	}
}

// A real server answers under its id; a request that somebody in the callout's account makes up is refused.
func TestMadeUpServerIsRefused(t *testing.T) {
	top := natstest.Hardened(t, true)
	w := startWorldWith(t, top, goodToken, func(c *Config) { c.VerifyServers = true })
	device := natstest.Connect(t, w.server, nats.Token(deviceToken))
	device.Close()

	made := natstest.NewAuthServer(t)
	claims := made.Claims(t, must(top.Issuer.PublicKey()), deviceToken, time.Now())
	m := made.Message(t, claims, must(top.XKey.PublicKey()))
	// No user of this topology may publish the request; the callout is handed it as if one had been.
	conn := w.conn(t)
	h := must(w.service.newHandler(connections{conn, conn}))
	b := &bench{}
	h.handle(t.Context(), message{id: "forged", data: m.Data, serverXKey: m.Header.Get(headerServerXKey), received: time.Now(), reply: &end{bench: b}})
	if reasons := w.service.stats().Reasons; reasons["request_server"] != 1 || len(b.answers) != 0 {
		t.Errorf("reasons %v, %d answers", reasons, len(b.answers))
	}
	if outcomes := w.service.stats().Outcomes; outcomes[outcomeAdmitted] != 1 || outcomes[outcomeRefused] != 1 {
		t.Errorf("outcomes %v", outcomes)
	}
}

// TestServerThatAnswersLate: a login waits for the question no longer than its budget, and the next need not ask again.
func TestServerThatAnswersLate(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	s := newServers(&Config{VerifyServers: true, ClientPatience: defaultPatience}, zap.NewNop(), time.Now, func(context.Context, string) error {
		asked.Add(1)
		<-release
		return nil
	})
	req := requestOf(t)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	wantCode(t, s.admit(short, req), wire.OutOfTime)
	close(release)
	natstest.Eventually(t, "the answer is kept", func() bool { known, _ := s.note(req); return known })
	wantCode(t, s.admit(t.Context(), req), 0)
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
