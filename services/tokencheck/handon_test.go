package tokencheck

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// handOnRequest asks to hand the token on.
func handOnRequest(t *testing.T, token string) []byte {
	t.Helper()
	data, err := wire.Encode(&wire.CheckRequest{Token: token, Client: &wire.Client{Host: "192.0.2.7"}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A good token goes to policy with the connection, and what comes back is policy's answer; a bad one goes nowhere.
func TestGoodTokensAreHandedOn(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, issuerConfig(idp.URL))
	natstest.FakePolicy(t, b.nc, func(q *wire.DecideRequest) (*wire.Grant, *wire.Error) {
		if q.HandedOn == nil || q.HandedOn.CheckMicros <= 0 || q.Client.Host != "192.0.2.7" || q.Token.Issuer != idp.URL || len(q.Token.Claims) == 0 {
			return nil, wire.Fail(wire.BadRequest, fmt.Sprintf("%+v", q), nil)
		}
		return &wire.Grant{Rule: "device"}, nil
	})
	good := idp.Token(t, "sensor-a")
	inbox := nats.NewInbox()
	answers, err := b.nc.SubscribeSync(inbox + wire.HandedOnReply)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.nc.PublishRequest("auth.v1.token.check", inbox, handOnRequest(t, good)); err != nil {
		t.Fatal(err)
	}
	m, err := answers.NextMsg(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	v, err := wire.Decode[wire.Verified](m.Data, wire.MaxGrantBytes)
	if err != nil || v.Grant == nil || v.Issuer != idp.URL || v.Claims != nil {
		t.Errorf("%s, %v", m.Data, err)
	}
	b.holdsNoToken(good, m.Data)
	if n := b.service.stats().HandedOn; n != 1 {
		t.Errorf("%d are counted as handed on", n)
	}
	m, err = b.nc.Request("auth.v1.token.check", handOnRequest(t, good[:len(good)-8]+"AAAAAAAA"), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if fail, err := wire.Decode[wire.Error](m.Data, 8<<10); err != nil || fail.Code.Class() != wire.Definite || b.service.stats().HandedOn != 1 {
		t.Errorf("%s, %v", m.Data, err)
	}
}

// Where this user may not ask policy, as with the permissions of an earlier release, tokencheck answers itself, at once, and says so.
func TestWithoutTheRightToHandOn(t *testing.T) {
	ns := natstest.Run(t, `authorization { users: [
		{ user: test, password: test }
		{ user: auth, password: auth, permissions: { publish: { deny: ">" }, subscribe: ">", allow_responses: { max: 5, expires: "10s" } } }
	] }`)
	idp := oidctest.New(t)
	b := newBenchOn(t, ns, natsx.Config{User: "auth", PasswordFile: secretFile(t, "password", "auth")}, issuerConfig(idp.URL))
	natstest.FakePolicy(t, b.nc, func(*wire.DecideRequest) (*wire.Grant, *wire.Error) {
		t.Error("policy was asked")
		return nil, wire.Fail(wire.Internal, "", nil)
	})
	data := handOnRequest(t, idp.Token(t, "sensor-a"))
	for range 5 { // the first one too
		m, err := b.nc.Request("auth.v1.token.check", data, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := wire.Decode[wire.Verified](m.Data, wire.MaxDecideRequestBytes); err != nil || v.Grant != nil || len(v.Claims) == 0 {
			t.Errorf("%s, %v", m.Data, err)
		}
	}
	warnings := func() int {
		return b.logs.FilterMessageSnippet("not handed on to policy").FilterField(zap.String("subject", "auth.v1.policy.decide")).Len()
	}
	natstest.Eventually(t, "a warning", func() bool { return warnings() > 0 })
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
