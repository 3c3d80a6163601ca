package natsx_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
)

// twoClusters returns servers of two clusters with a gateway between them.
func twoClusters(t *testing.T) (near, far *server.Server) {
	t.Helper()
	near = natstest.Run(t, `gateway { name: near, host: 127.0.0.1, port: -1 }`)
	far = natstest.Run(t, fmt.Sprintf(`gateway { name: far, host: 127.0.0.1, port: -1, gateways: [ {name: near, url: "nats://%s"} ] }`, near.GatewayAddr()))
	natstest.Eventually(t, "the clusters are connected", func() bool {
		return near.NumOutboundGateways() == 1 && far.NumOutboundGateways() == 1
	})
	return near, far
}

// TestOverAGateway: what comes over a gateway is answered, handed on or not.
func TestOverAGateway(t *testing.T) {
	near, far := twoClusters(t)
	tokencheck := connect(t, far, "tokencheck")
	toPolicy := onward(t, tokencheck)
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		if r.HandOn(ctx, toPolicy, nil, nil) != nil {
			_ = r.Respond([]byte("by itself"))
		}
	}})
	policy := natstest.Connect(t, far)
	if _, err := policy.QueueSubscribe(decide, "policy", func(m *nats.Msg) { _ = m.Respond([]byte("granted")) }); err != nil {
		t.Fatal(err)
	}
	if err := policy.Flush(); err != nil {
		t.Fatal(err)
	}
	callout := connect(t, near, "callout")
	for range 10 {
		calls := callerOnward(t, callout) // with a subscription of its own, which is new
		for range 3 {
			answer, err := calls.CallOnward(within(t, patience), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: "id"})
			want := "by itself"
			if answer.HandedOn {
				want = "granted"
			}
			if err != nil || string(answer.Data) != want {
				t.Errorf("%+v, %v", answer, err)
			}
		}
	}
}

// TestFromAnotherAccount: nats-server makes the reply subject of an imported service, and lets nobody else name it: such a request is not handed
// on, and answered here.
func TestFromAnotherAccount(t *testing.T) {
	s := natstest.Run(t, `accounts {
		A: { users: [ {user: a, password: a} ], exports: [ {service: "auth.v1.token.check"} ] }
		B: { users: [ {user: b, password: b} ], imports: [ {service: {account: A, subject: "auth.v1.token.check"}} ] }
	}`)
	user := func(name string) *natsx.Conn {
		return connectWith(t, natsx.Config{URLs: []string{s.ClientURL()}, User: name, PasswordFile: secret(t, name)}, name)
	}
	tokencheck := user("a")
	toPolicy := onward(t, tokencheck)
	serve(t, tokencheck, natsx.Endpoint{Handle: func(ctx context.Context, r *natsx.Request) {
		if r.HandOn(ctx, toPolicy, nil, nil) == nil {
			t.Error("it was handed on")
		}
		_ = r.Respond([]byte("by itself"))
	}})
	answer, err := callerOnward(t, user("b")).CallOnward(within(t, patience), natsx.Outgoing{Onward: true, Subject: "auth.v1.token.check", ID: "id"})
	if err != nil || string(answer.Data) != "by itself" || answer.HandedOn {
		t.Errorf("%+v, %v", answer, err)
	}
}
