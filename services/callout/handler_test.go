package callout

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// pretend are neighbours whose answers a test chooses.
type pretend struct {
	onCheck  func(context.Context, *wire.CheckRequest) (*wire.Verified, error)
	onDecide func(context.Context, *wire.DecideRequest) (*wire.Grant, error)
}

func (p *pretend) check(ctx context.Context, _ string, q *wire.CheckRequest) (*wire.Verified, error) {
	return p.onCheck(ctx, q)
}

func (p *pretend) decide(ctx context.Context, _ string, q *wire.DecideRequest) (*wire.Grant, error) {
	return p.onDecide(ctx, q)
}

// kicks remembers the connections that servers were asked to close.
type kicks struct {
	subjects []string
	bodies   []string
	err      error
	down     bool
}

func (k *kicks) IsConnected() bool { return !k.down }

func (k *kicks) PublishRequest(subject, reply string, data []byte) error {
	if reply == "" {
		return errors.New("a server ignores a KICK without a reply subject")
	}
	k.subjects, k.bodies = append(k.subjects, subject), append(k.bodies, string(data))
	return k.err
}

// bench is a handler with fakes around it, and what came out.
type bench struct {
	handler *handler
	near    *pretend
	kicks   *kicks
	logs    *observer.ObservedLogs
	server  *authority
	answers [][]byte
	sendErr error
	counted []wire.Code
	end     time.Time // of the budget, as Shorten was told
}

const deviceToken = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZW5zb3ItYSJ9.c2lnbmF0dXJl"

func newBench(t *testing.T) *bench {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	b := &bench{kicks: &kicks{}, logs: logs, server: newAuthority(t)}
	b.near = &pretend{
		onCheck: func(context.Context, *wire.CheckRequest) (*wire.Verified, error) {
			return verified(time.Now().Add(time.Hour)), nil
		},
		onDecide: func(context.Context, *wire.DecideRequest) (*wire.Grant, error) { return deviceGrant(), nil },
	}
	h := &hangups{conn: b.kicks, subjects: must(wire.NewSubjects("")), reply: "_AUTH_INBOX.callout.x"}
	h.allowed.Store(true)
	b.handler = &handler{
		opener:     &opener{keys: holding(), leeway: defaultClockLeeway},
		minter:     newMinter(t),
		neighbours: b.near,
		budget:     budget{patience: 2 * time.Second, maximum: 10 * time.Second},
		hangups:    h,
		servers:    newServers(&Config{ClientPatience: defaultPatience}, zap.NewNop(), time.Now, nil),
		account:    "DEVICES",
		accounts:   []string{"DEVICES"},
		maxAnswer:  func() int64 { return 1 << 20 },
		now:        time.Now,
		recorder:   newRecorder(zap.New(core), nil, nil),
	}
	return b
}

func (b *bench) message(data []byte) message {
	return message{id: "id-1", data: data, received: time.Now(), reply: &end{bench: b}}
}

// end is where one request of a bench ends. As with a natsx.Request, what comes after its end has no effect.
type end struct {
	*bench
	answered bool
}

// Respond implements reply.
func (e *end) Respond(answer []byte) error {
	if e.answered {
		return nil
	}
	e.answers = append(e.answers, answer)
	e.answered = e.sendErr == nil
	return e.sendErr
}

// Count implements reply.
func (e *end) Count(fail *wire.Error) {
	if !e.answered {
		e.counted = append(e.counted, fail.Code)
		e.answered = true
	}
}

// Shorten implements reply.
func (e *end) Shorten(to time.Time) { e.end = to }

// request is an ordinary one of a device with deviceToken.
func (b *bench) request(change func(*jwt.AuthorizationRequestClaims)) []byte {
	c := b.server.claims(time.Now())
	c.ConnectOptions.Token = deviceToken
	if change != nil {
		change(c)
	}
	return b.server.sign(c)
}

// record returns the one record of the request, and fails the test when there is not exactly one or it holds the token.
func (b *bench) record(t *testing.T) map[string]any {
	t.Helper()
	entries := b.logs.FilterMessage("decision").AllUntimed()
	if len(entries) != 1 {
		t.Fatalf("%d decision records", len(entries))
	}
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{})
	line, err := enc.EncodeEntry(entries[0].Entry, entries[0].Context)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(deviceToken, ".") {
		if strings.Contains(line.String(), part) {
			t.Fatalf("the record holds a part of the token: %s", line)
		}
	}
	return entries[0].ContextMap()
}

func failsWith(code wire.Code) func(context.Context, *wire.CheckRequest) (*wire.Verified, error) {
	return func(context.Context, *wire.CheckRequest) (*wire.Verified, error) {
		return nil, wire.Fail(code, "", nil)
	}
}

func TestHandle(t *testing.T) {
	decides := func(g *wire.Grant, err error) func(context.Context, *wire.DecideRequest) (*wire.Grant, error) {
		return func(context.Context, *wire.DecideRequest) (*wire.Grant, error) { return g, err }
	}
	for _, row := range []struct {
		name    string
		change  func(*jwt.AuthorizationRequestClaims)
		set     func(*bench)
		outcome string
		code    wire.Code
	}{
		{name: "admitted", outcome: outcomeAdmitted},
		{name: "admitted into the default account", set: func(b *bench) {
			g := deviceGrant()
			g.Account = ""
			b.near.onDecide = decides(g, nil)
		}, outcome: outcomeAdmitted},
		{name: "no token", change: func(c *jwt.AuthorizationRequestClaims) { c.ConnectOptions.Token = "" }, outcome: outcomeDenied, code: wire.NoToken},
		{name: "two tokens", change: func(c *jwt.AuthorizationRequestClaims) { c.ConnectOptions.Password = "another" }, outcome: outcomeDenied, code: wire.ConflictingTokens},
		{name: "bad token", set: func(b *bench) { b.near.onCheck = failsWith(wire.SignatureInvalid) }, outcome: outcomeDenied, code: wire.SignatureInvalid},
		{name: "no rule", set: func(b *bench) { b.near.onDecide = decides(nil, wire.Fail(wire.NoMatchingRule, "", nil)) }, outcome: outcomeDenied, code: wire.NoMatchingRule},
		{name: "token ran out on the way", set: func(b *bench) {
			b.near.onCheck = func(context.Context, *wire.CheckRequest) (*wire.Verified, error) {
				return verified(time.Now().Add(-time.Second)), nil
			}
		}, outcome: outcomeDenied, code: wire.TokenExpired},
		{name: "answer larger than max_payload", set: func(b *bench) { b.handler.maxAnswer = func() int64 { return 500 } }, outcome: outcomeDenied, code: wire.GrantTooLarge},
		{name: "grant too large", set: func(b *bench) { b.handler.minter.maxUserJWT = 100 }, outcome: outcomeDenied, code: wire.GrantTooLarge},

		{name: "tokencheck gone", set: func(b *bench) { b.near.onCheck = failsWith(wire.TokencheckUnavailable) }, outcome: outcomeHungUp, code: wire.TokencheckUnavailable},
		{name: "overloaded", set: func(b *bench) { b.near.onCheck = failsWith(wire.Overloaded) }, outcome: outcomeHungUp, code: wire.Overloaded},
		{name: "code of a later release", set: func(b *bench) { b.near.onCheck = failsWith(1999) }, outcome: outcomeHungUp, code: 1999},
		{name: "an error without a code", set: func(b *bench) { b.near.onDecide = decides(nil, errors.New("x")) }, outcome: outcomeHungUp, code: wire.Internal},
		{name: "a grant for an account that is not allowed", set: func(b *bench) {
			g := deviceGrant()
			g.Account = "AUTH"
			b.near.onDecide = decides(g, nil)
		}, outcome: outcomeHungUp, code: wire.BadReply},
		{name: "a panic", set: func(b *bench) {
			b.near.onCheck = func(context.Context, *wire.CheckRequest) (*wire.Verified, error) { panic("x") }
		}, outcome: outcomeHungUp, code: wire.Internal},
		{name: "no right to kick", set: func(b *bench) {
			b.near.onCheck = failsWith(wire.Overloaded)
			b.handler.hangups.allowed.Store(false)
		}, outcome: outcomeSilent, code: wire.Overloaded},
		{name: "kick cannot be sent", set: func(b *bench) {
			b.near.onCheck = failsWith(wire.Overloaded)
			b.kicks.err = errors.New("x")
		}, outcome: outcomeSilent, code: wire.Overloaded},
		{name: "the way to ask is down", set: func(b *bench) {
			b.near.onCheck = failsWith(wire.Overloaded)
			b.kicks.down = true
		}, outcome: outcomeSilent, code: wire.Overloaded},
		{name: "the answer cannot be sent", set: func(b *bench) { b.sendErr = errors.New("x") }, outcome: outcomeHungUp, code: wire.Internal},
		{name: "the denial cannot be sent", set: func(b *bench) {
			b.near.onCheck = failsWith(wire.SignatureInvalid)
			b.sendErr = errors.New("x")
		}, outcome: outcomeHungUp, code: wire.Internal},
		{name: "a request that does not verify", change: func(c *jwt.AuthorizationRequestClaims) { c.Audience = "x" }, outcome: outcomeRefused, code: wire.RequestAudience},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			if row.set != nil {
				row.set(b)
			}
			b.handler.handle(t.Context(), b.message(b.request(row.change)))
			record := b.record(t)
			if record[logx.Outcome] != row.outcome {
				t.Errorf("outcome %v, want %s", record[logx.Outcome], row.outcome)
			}
			if code, _ := record[logx.Code].(int64); wire.Code(code) != row.code {
				t.Errorf("code %v (%v), want %d", record[logx.Code], record[logx.Reason], row.code)
			}
			if unanswered := row.outcome != outcomeAdmitted && row.outcome != outcomeDenied; unanswered != (len(b.counted) == 1) {
				t.Errorf("outcome %s counts %v", row.outcome, b.counted)
			}
			b.checkAnswer(t, row.outcome)
			b.checkKick(t, row.outcome)
		})
	}
}

// checkAnswer compares what was sent to the server with the outcome.
func (b *bench) checkAnswer(t *testing.T, outcome string) {
	t.Helper()
	if b.sendErr != nil {
		return
	}
	if (len(b.answers) == 1) != (outcome == outcomeAdmitted || outcome == outcomeDenied) || len(b.answers) > 1 {
		t.Fatalf("%d answers for outcome %s", len(b.answers), outcome)
	}
	if len(b.answers) == 0 {
		return
	}
	claims, err := jwt.DecodeAuthorizationResponseClaims(string(b.answers[0]))
	if err != nil {
		t.Fatal(err)
	}
	if (claims.Jwt != "") != (outcome == outcomeAdmitted) {
		t.Errorf("outcome %s was answered with jwt %q, error %q", outcome, claims.Jwt, claims.Error)
	}
}

func (b *bench) checkKick(t *testing.T, outcome string) {
	t.Helper()
	if b.kicks.err != nil {
		return
	}
	if (len(b.kicks.subjects) == 1) != (outcome == outcomeHungUp) || len(b.kicks.subjects) > 1 {
		t.Fatalf("%d kicks for outcome %s", len(b.kicks.subjects), outcome)
	}
	if len(b.kicks.subjects) == 1 && (b.kicks.subjects[0] != "auth.kick."+b.server.id || b.kicks.bodies[0] != `{"cid":11}`) {
		t.Errorf("kicked %s on %s", b.kicks.bodies[0], b.kicks.subjects[0])
	}
}

func TestHandleAsksBoth(t *testing.T) {
	b := newBench(t)
	b.near.onCheck = func(_ context.Context, q *wire.CheckRequest) (*wire.Verified, error) {
		if q.Token != deviceToken || q.CertificateSHA256 != "" {
			t.Errorf("tokencheck is asked about a token of %d bytes, certificate %q", len(q.Token), q.CertificateSHA256)
		}
		return verified(time.Now().Add(time.Hour)), nil
	}
	b.near.onDecide = func(_ context.Context, q *wire.DecideRequest) (*wire.Grant, error) {
		if q.Token.Subject != "314159" || q.Client.Host != "192.0.2.7" || q.Client.ID != 11 || q.Client.ServerID != b.server.id {
			t.Errorf("policy is asked about %+v", q)
		}
		return deviceGrant(), nil
	}
	b.handler.handle(t.Context(), b.message(b.request(nil)))
	record := b.record(t)
	for field, want := range map[string]any{
		logx.Device: "sensor-a", logx.Account: "DEVICES", logx.Rule: "device", logx.Issuer: "https://idp.example.com", logx.Subject: "314159",
		logx.RequestID: "id-1", logx.ServerID: b.server.id, logx.ServerName: "s1", logx.ClientHost: "192.0.2.7", logx.ClientType: "nats",
		logx.ClientKind: "Client", logx.ClientID: uint64(11),
	} {
		if record[field] != want {
			t.Errorf("%s is %v, want %v", field, record[field], want)
		}
	}
	for _, field := range []string{logx.OpenMS, logx.TokenMS, logx.PolicyMS, logx.MintMS, logx.TotalMS, logx.Expires} {
		if _, ok := record[field]; !ok {
			t.Errorf("no %s in the record", field)
		}
	}
}

// TestReasonsAreBounded: a neighbour in the wrong hands, or of a later release, answers what it likes.
func TestReasonsAreBounded(t *testing.T) {
	b := newBench(t)
	for code := range wire.Code(500) {
		b.near.onCheck = failsWith(7000 + code)
		b.handler.handle(t.Context(), b.message(b.request(nil)))
	}
	if _, reasons := b.handler.recorder.counts(); len(reasons) != 1 || reasons[unknownReason] != 500 {
		t.Errorf("%d reasons", len(reasons))
	}
}

// TestHandleWhatWasHandedOn: policy's answer to tokencheck's request is as good as its answer to the callout's, and the record is the
// same, a refusal's too. The times are shared out by what tokencheck says of itself.
func TestHandleWhatWasHandedOn(t *testing.T) {
	for _, row := range []struct {
		outcome     string
		reason      any
		checkMicros int64
		token       float64 // ms, of 5
	}{
		{outcomeAdmitted, nil, 3000, 3},
		{outcomeDenied, "no_matching_rule", 3000, 3},
		{outcomeAdmitted, nil, -1, 0},
		{outcomeAdmitted, nil, 1 << 62, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.near.onCheck = func(_ context.Context, q *wire.CheckRequest) (*wire.Verified, error) {
				if q.Client == nil || q.Client.Host != "192.0.2.7" || q.Client.ID != 11 || q.Client.ServerID != b.server.id {
					t.Errorf("tokencheck is to hand on %+v", q.Client)
				}
				time.Sleep(5 * time.Millisecond)
				v := verified(time.Now().Add(time.Hour))
				v.Claims, v.CheckMicros = nil, row.checkMicros
				if row.reason != nil {
					fail := wire.Fail(wire.NoMatchingRule, "", nil)
					fail.Verified, fail.Policy = v, &wire.PolicyName{Device: "sensor-a", Generation: 7}
					return nil, fail
				}
				v.Grant = deviceGrant()
				return v, nil
			}
			b.near.onDecide = func(context.Context, *wire.DecideRequest) (*wire.Grant, error) {
				t.Error("policy is asked again")
				return nil, wire.Fail(wire.Internal, "", nil)
			}
			b.handler.handle(t.Context(), b.message(b.request(nil)))
			record := b.record(t)
			for field, want := range map[string]any{
				logx.Outcome: row.outcome, logx.Reason: row.reason, logx.Device: "sensor-a", logx.Issuer: "https://idp.example.com", logx.Subject: "314159",
				logx.TokenMS: row.token, logx.PolicyMS: 5 - row.token,
			} {
				if record[field] != want {
					t.Errorf("%s is %v, want %v", field, record[field], want)
				}
			}
			b.checkAnswer(t, row.outcome)
		})
	}
}

// TestTheSameRequestTwice hands over one request twice, as a copy that somebody captured would come: the same answer for the same
// connection of the same server, and a record of each.
func TestTheSameRequestTwice(t *testing.T) {
	b := newBench(t)
	data := b.request(nil)
	for range 2 {
		b.handler.handle(t.Context(), b.message(data))
	}
	records := b.logs.FilterMessage("decision").AllUntimed()
	if len(b.answers) != 2 || len(records) != 2 {
		t.Fatalf("%d answers, %d records", len(b.answers), len(records))
	}
	asked := must(jwt.DecodeAuthorizationRequestClaims(string(data)))
	for i, answer := range b.answers {
		response := must(jwt.DecodeAuthorizationResponseClaims(string(answer)))
		user := must(jwt.DecodeUserClaims(response.Jwt))
		if response.Subject != asked.UserNkey || response.Audience != b.server.id || user.Subject != asked.UserNkey {
			t.Errorf("answer %d is for %s of %s, and admits %s", i, response.Subject, response.Audience, user.Subject)
		}
		if record := records[i].ContextMap(); record[logx.Outcome] != outcomeAdmitted || record[logx.ClientID] != uint64(11) {
			t.Errorf("record %d is %v", i, record)
		}
	}
}

// The record of a token that was refused says which check of which issuer refused it.
func TestHandleRecordsTheCheck(t *testing.T) {
	b := newBench(t)
	b.near.onCheck = func(context.Context, *wire.CheckRequest) (*wire.Verified, error) {
		fail := wire.Fail(wire.KeyUnknown, "known 1 2", nil)
		fail.Token = &wire.TokenName{Check: "key", Issuer: "https://idp.example.com", KeyID: "3"}
		return nil, fail
	}
	b.handler.handle(t.Context(), b.message(b.request(nil)))
	record := b.record(t)
	for field, want := range map[string]any{
		logx.Outcome: outcomeDenied, logx.Reason: "unknown_key", logx.Detail: "known 1 2", logx.Check: "key",
		logx.Issuer: "https://idp.example.com", logx.KeyID: "3",
	} {
		if record[field] != want {
			t.Errorf("%s is %v, want %v", field, record[field], want)
		}
	}
}

// The neighbours get the time that is left of the budget, and an answer after its end is not sent: the client has gone.
func TestHandleKeepsTheBudget(t *testing.T) {
	for _, row := range []struct {
		name    string
		takes   time.Duration
		outcome string
		code    wire.Code
	}{
		{"in time", time.Second, outcomeAdmitted, 0},
		{"too late", 3 * time.Second, outcomeHungUp, wire.OutOfTime},
		{"too late without saying so", 3 * time.Second, outcomeHungUp, wire.OutOfTime},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // so that exp-iat is the whole 2 s
				b := newBench(t)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond)
				defer cancel()
				b.near.onDecide = func(ctx context.Context, _ *wire.DecideRequest) (*wire.Grant, error) {
					if b.end.Sub(start) != 1900*time.Millisecond {
						t.Errorf("shortened to %s", b.end.Sub(start))
					}
					time.Sleep(row.takes)
					if row.name == "too late" {
						return nil, wire.Fail(wire.OutOfTime, "", ctx.Err())
					}
					return deviceGrant(), nil
				}
				// jwt/v2 stamps iat from the bubble's clock as well.
				b.handler.handle(ctx, b.message(b.request(nil)))
				record := b.record(t)
				if code, _ := record[logx.Code].(int64); record[logx.Outcome] != row.outcome || wire.Code(code) != row.code {
					t.Errorf("outcome %v code %v", record[logx.Outcome], record[logx.Code])
				}
			})
		})
	}
}

func TestGiveUp(t *testing.T) {
	b := newBench(t)
	b.handler.giveUp(b.message(b.request(nil)), wire.Fail(wire.Overloaded, "", nil))
	if record := b.record(t); record[logx.Outcome] != outcomeHungUp || record[logx.Reason] != "overloaded" {
		t.Errorf("record is %v", record)
	}
	b.checkKick(t, outcomeHungUp)

	b = newBench(t)
	b.handler.giveUp(b.message(bytes.ToUpper(b.request(nil))), wire.Fail(wire.Overloaded, "", nil))
	if record := b.record(t); record[logx.Outcome] != outcomeRefused {
		t.Errorf("record is %v", record)
	}
	b.checkKick(t, outcomeRefused)
	if !slices.Equal(b.counted, []wire.Code{wire.RequestMalformed}) {
		t.Errorf("counted %v", b.counted)
	}

	b = newBench(t)
	b.handler.opener.keys = func() *keys { panic("x") }
	b.handler.giveUp(b.message(b.request(nil)), wire.Fail(wire.Overloaded, "", nil))
	if record := b.record(t); record[logx.Outcome] != outcomeSilent || record[logx.Reason] != "internal" {
		t.Errorf("after a panic the record is %v", record)
	}

	b = newBench(t)
	b.handler.giveUpUnread(b.message(b.request(nil)), wire.Fail(wire.Overloaded, "", nil))
	if record := b.record(t); record[logx.Outcome] != outcomeSilent || !slices.Equal(b.counted, []wire.Code{wire.Overloaded}) {
		t.Errorf("unread the record is %v, counted %v", record, b.counted)
	}
}

// Giving up never blocks, whatever hangs.
func TestGiveUpsDropWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worked, dropped := 0, 0
		g := newGiveUps(func(message, *wire.Error) { worked++ }, func(message, *wire.Error) { dropped++ })
		for range maxGiveUps + 10 {
			g.add(message{}, nil)
		}
		if worked != 0 || dropped != 10 {
			t.Errorf("%d worked on, %d dropped before anybody worked", worked, dropped)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { g.run(ctx); close(done) }()
		synctest.Wait()
		stop()
		<-done
		if worked != maxGiveUps {
			t.Errorf("%d worked on, want %d", worked, maxGiveUps)
		}
	})
}

func TestRecordOfHostileTexts(t *testing.T) {
	b := newBench(t)
	b.handler.handle(t.Context(), b.message(b.request(func(c *jwt.AuthorizationRequestClaims) {
		c.ClientInformation.Name = "a\n\x1b[31m\u202eb"
		c.ClientInformation.User = deviceToken
		c.ClientInformation.MQTT = strings.Repeat("é", 1000)
	})))
	record := b.record(t)
	if record[logx.ClientName] != "a\uFFFD\uFFFD[31m\uFFFDb" || record[logx.ClientUser] != redacted {
		t.Errorf("name %q, user %q", record[logx.ClientName], record[logx.ClientUser])
	}
	if id, _ := record[logx.MQTTClientID].(string); len(id) > maxClientText+3 || !strings.HasPrefix(id, "éé") {
		t.Errorf("mqtt client id of %d bytes", len(id))
	}
}

func TestRequestsFromAKeyOfOurs(t *testing.T) {
	b := newBench(t)
	user := must(nkeys.CreateUser())
	b.handler.handle(t.Context(), b.message(forge(b.server.claims(time.Now()), user, "")))
	if record := b.record(t); record[logx.Outcome] != outcomeRefused || record[logx.Reason] != "request_signature" {
		t.Errorf("record is %v", record)
	}
}
