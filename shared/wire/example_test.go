package wire_test

import (
	"fmt"

	"harmony.internal/authcallout/shared/wire"
)

// One login: what the callout asks, what it is told, and what a refusal looks like.
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
	data, err := wire.Encode(&wire.CheckRequest{Token: "eyJ..."})
	show(subjects.TokenCheck(), data, err)
	v := wire.Verified{Issuer: "https://id.example.com", Subject: "7", ExpiresAt: 1795517272, Claims: []byte(`{"device_id":"sensor-a"}`)}
	data, err = wire.Encode(&wire.DecideRequest{Token: v, Client: wire.Client{Host: "192.0.2.7"}})
	show(subjects.PolicyDecide(), data, err)
	data, err = wire.Encode(&wire.Grant{Rule: "device", Device: "sensor-a", Publish: wire.Permissions{Allow: []string{"device-state.sensor-a"}}})
	show("grant", data, err)
	data, err = wire.Encode(wire.Fail(wire.NoMatchingRule, "", nil))
	show("refusal", data, err)
	// Output:
	// auth.v1.token.check {"token":"eyJ..."}
	// auth.v1.policy.decide {"token":{"issuer":"https://id.example.com","subject":"7","expires_at":1795517272,"claims":{"device_id":"sensor-a"}},"client":{"host":"192.0.2.7"}}
	// grant {"rule":"device","device":"sensor-a","publish":{"allow":["device-state.sensor-a"]},"subscribe":{}}
	// refusal {"code":2001,"reason":"no_matching_rule"}
}
