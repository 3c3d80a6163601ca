package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
)

// TestServerIgnoresLimitsOfCalloutJWTs is why the rules have no key for limits of subscriptions and payload: nats-server
// takes them from the JWT that a client itself presents (client.go, applyAccountLimits), and not from the callout's. When
// this test fails a newer server honours them, and the rules can have such keys.
func TestServerIgnoresLimitsOfCalloutJWTs(t *testing.T) {
	top := natstest.Reference(t)
	ns := top.Run(t)
	auth, err := nats.Connect(ns.ClientURL(), nats.UserInfo(natstest.ServiceUser, natstest.ServiceUser))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(auth.Close)
	if _, err := auth.Subscribe("$SYS.REQ.USER.AUTH", func(m *nats.Msg) {
		request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
		if err != nil {
			t.Error(err)
			return
		}
		user := jwt.NewUserClaims(request.UserNkey)
		user.Audience = natstest.Devices
		user.NatsLimits = jwt.NatsLimits{Subs: 1, Data: 16, Payload: 16}
		user.Src = jwt.CIDRList{"192.0.2.0/24"} // not where this test is
		response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
		response.Audience = request.Server.ID
		if response.Jwt, err = user.Encode(top.Issuer); err != nil {
			t.Error(err)
			return
		}
		answer, err := response.Encode(top.Issuer)
		if err != nil {
			t.Error(err)
			return
		}
		if err := m.Respond([]byte(answer)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := auth.Flush(); err != nil { // the subscription is there before anybody asks
		t.Fatal(err)
	}
	device, err := nats.Connect(ns.ClientURL(), nats.Token("any"), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err) // source networks would refuse it here
	}
	t.Cleanup(device.Close)
	for _, subject := range []string{"a", "b", "c"} {
		if _, err := device.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	last, err := device.SubscribeSync("last")
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Publish("last", []byte(strings.Repeat("x", 1000))); err != nil {
		t.Fatal(err)
	}
	if m, err := last.NextMsg(20 * time.Second); err != nil || len(m.Data) != 1000 {
		t.Errorf("the fourth subscription and a payload of 1000 bytes: %v", err)
	}
}
