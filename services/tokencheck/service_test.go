package tokencheck

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// bench is one replica of tokencheck with the least permissions, and a connection that asks it as the callout and an
// operator do.
type bench struct {
	t       testing.TB
	service *Service
	nc      *nats.Conn
	logs    *observer.ObservedLogs
	// ahead is how far the service's clock is ahead of the system's.
	ahead atomic.Int64
}

// newBench starts a replica with these issuers and waits until it serves; its keys need not be there yet.
func newBench(t testing.TB, issuers ...IssuerConfig) *bench {
	t.Helper()
	ns := natstest.Run(t, `authorization { users: [
		{ user: test, password: test }
		{ user: auth, password: auth, permissions: `+natstest.TokencheckPermissions+` }
	] }`)
	return newBenchOn(t, ns, natsx.Config{User: "auth", PasswordFile: secretFile(t, "password", "auth")}, issuers...)
}

// newBenchOn connects the replica to ns by connection, and the test as user test.
func newBenchOn(t testing.TB, ns *server.Server, connection natsx.Config, issuers ...IssuerConfig) *bench {
	t.Helper()
	b := &bench{t: t, nc: natstest.Connect(t, ns, nats.UserInfo("test", "test"))}
	core, logs := observer.New(zapcore.DebugLevel)
	b.logs = logs
	connection.URLs = []string{ns.ClientURL()}
	cfg := &Config{NATS: connection, Issuers: issuers}
	cfg.SetDefaults()
	now := func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	var err error
	if b.service, err = New(cfg, Deps{Log: zap.New(core), Version: "1.0.0", Now: now}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	natstest.Eventually(t, "tokencheck serves", func() bool {
		_, err := b.nc.Request("auth.v1.token.check", nil, time.Second)
		return err == nil
	})
	return b
}

// setClock moves the service's clock to at.
func (b *bench) setClock(at time.Time) { b.ahead.Store(int64(time.Until(at))) }

// ask sends one request with a budget that a busy machine keeps, and returns the reply or the failure. Whatever the
// answer, neither it nor the log holds the token.
func (b *bench) ask(subject, token, certificate string) ([]byte, *wire.Error) {
	b.t.Helper()
	data, err := wire.Encode(&wire.CheckRequest{Token: token, CertificateSHA256: certificate})
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := b.nc.RequestMsg(&nats.Msg{Subject: subject, Data: data, Header: nats.Header{wire.HeaderBudget: {"10000"}}}, 30*time.Second)
	if err != nil {
		b.t.Fatal(err)
	}
	b.holdsNoToken(token, m.Data)
	if m.Header.Get(wire.HeaderErrorCode) == "" {
		return m.Data, nil
	}
	fail, err := wire.Decode[wire.Error](m.Data, 8<<10)
	if err != nil {
		b.t.Fatal(err)
	}
	if fail.Reason != fail.Code.String() || m.Header.Get(wire.HeaderError) != fail.Reason {
		b.t.Errorf("code %d, reason %q, header %q", fail.Code, fail.Reason, m.Header.Get(wire.HeaderError))
	}
	return nil, fail
}

func (b *bench) holdsNoToken(token string, reply []byte) {
	b.t.Helper()
	parts := strings.Split(token, ".")
	secret := parts[len(parts)-1] // of a JWT the signature: without it what the token says is no credential
	if len(secret) < 16 {
		return
	}
	if bytes.Contains(reply, []byte(secret)) {
		b.t.Error("the token is in the answer")
	}
	for _, e := range b.logs.All() {
		if line, _ := json.Marshal(e.ContextMap()); strings.Contains(e.Message, secret) || bytes.Contains(line, []byte(secret)) {
			b.t.Errorf("the token is in the log entry %q", e.Message)
		}
	}
}

// check asks as the callout does.
func (b *bench) check(token, certificate string) (*wire.Verified, *wire.Error) {
	b.t.Helper()
	reply, fail := b.ask("auth.v1.token.check", token, certificate)
	if fail != nil {
		return nil, fail
	}
	v, err := wire.Decode[wire.Verified](reply, wire.MaxDecideRequestBytes)
	if err != nil {
		b.t.Fatal(err)
	}
	return v, nil
}

// explain asks as an operator does.
func (b *bench) explain(token, certificate string) *Explanation {
	b.t.Helper()
	reply, fail := b.ask("auth.v1.token.explain", token, certificate)
	if fail != nil {
		b.t.Fatal(fail)
	}
	e := &Explanation{}
	if err := json.Unmarshal(reply, e); err != nil {
		b.t.Fatal(err)
	}
	return e
}

// want asserts the code of a token, 0 for accepted.
func (b *bench) want(name, token string, want wire.Code) {
	b.t.Helper()
	if _, fail := b.check(token, ""); code(fail) != want {
		b.t.Errorf("%s: got %v, want %v", name, fail, want)
	}
}
