package wire_test

import (
	"fmt"

	"harmony.internal/authcallout/shared/wire"
)

// One login, which tokencheck hands on to policy: what the callout asks, what policy is asked in its place, what the callout is
// told, and what a refusal looks like.
func Example() {
	subjects, err := wire.NewSubjects(wire.DefaultPrefix)
	if err != nil {
		panic(err)
	}
	show := func(subject string, data []byte, err error) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s\n", subject, data)
	}
	client := wire.Client{Host: "192.0.2.7"}
	data, err := wire.Encode(&wire.CheckRequest{Token: "eyJ...", Client: &client})
	show(subjects.TokenCheck(), data, err)
	v := wire.Verified{Issuer: "https://id.example.com", Subject: "7", ExpiresAt: 1795517272, Claims: []byte(`{"device_id":"sensor-a"}`)}
	q := wire.DecideRequest{Token: v, Client: client, HandedOn: &wire.HandedOn{CheckMicros: 87}}
	data, err = wire.Encode(&q)
	show(subjects.PolicyDecide(), data, err)
	data, err = wire.Encode(q.Answer(&wire.Grant{Rule: "device", Device: "sensor-a", Publish: wire.Permissions{Allow: []string{"device-state.sensor-a"}}}))
	show("granted", data, err)
	data, err = wire.Encode(wire.Fail(wire.NoMatchingRule, "", nil))
	show("refusal", data, err)
	// Output:
	// auth.v1.token.check {"token":"eyJ...","client":{"host":"192.0.2.7"}}
	// auth.v1.policy.decide {"token":{"issuer":"https://id.example.com","subject":"7","expires_at":1795517272,"claims":{"device_id":"sensor-a"}},"client":{"host":"192.0.2.7"},"handed_on":{"check_us":87}}
	// granted {"issuer":"https://id.example.com","subject":"7","expires_at":1795517272,"grant":{"rule":"device","device":"sensor-a","publish":{"allow":["device-state.sensor-a"]},"subscribe":{}},"check_us":87,"client_digest":"r8eCsct7pp4Aqa8gluXYJTstMBi17IUJSSbVm047R-E"}
	// refusal {"code":2001,"reason":"no_matching_rule"}
}
