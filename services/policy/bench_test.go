package policy

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/wire"
)

// BenchmarkDecide is one decision from the bytes of the request to the bytes of the answer, by the rules for Zitadel.
func BenchmarkDecide(b *testing.B) {
	cfg := &Config{PolicyFile: "profiles/zitadel/rules.yaml"}
	cfg.SetDefaults()
	s, err := New(cfg, Deps{Log: zap.NewNop(), Now: func() time.Time { return time.Unix(1795500000, 0) }})
	if err != nil {
		b.Fatal(err)
	}
	data, err := wire.Encode(zitadelRequest())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bytes to bytes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, fail := s.judge(context.Background(), data, &decided{}); fail != nil {
				b.Fatal(fail)
			}
		}
	})
	b.Run("request alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.Decode[wire.DecideRequest](data, wire.MaxDecideRequestBytes); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decision alone", func(b *testing.B) {
		q, p := zitadelRequest(), s.store.current.Load()
		b.ReportAllocs()
		for b.Loop() {
			if _, fail := p.Decide(q, rules.Context{}); fail != nil {
				b.Fatal(fail)
			}
		}
	})
	b.Run("grant alone", func(b *testing.B) {
		g, _ := s.store.current.Load().Decide(zitadelRequest(), rules.Context{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.Encode(g); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// zitadelRequest is a token of a machine user as a Zitadel of version 4 issues them, and its connection.
func zitadelRequest() *wire.DecideRequest {
	return &wire.DecideRequest{
		Token: wire.Verified{
			Issuer: "https://zitadel.example.com", Subject: "400938672414788646", ExpiresAt: 1795517272, IssuedAt: 1795474072,
			KeyID: "400938383779826726", Algorithm: "RS256", TokenID: "V2_400938673723411494-at_400938673723477030", Roles: []string{"device"},
			KeySet: "5f1c8a2b9d3e4f60",
			Claims: json.RawMessage(`{"aud":["400938672314125350"],"client_id":"sensor-a","exp":1795517272,"iat":1795474072,"iss":"https://zitadel.example.com","jti":"V2_400938673723411494-at_400938673723477030","nbf":1795474072,"sub":"400938672414788646","urn:zitadel:iam:org:project:400938672314125350:roles":{"device":{"400938383779630118":"zitadel.localhost"}},"urn:zitadel:iam:org:project:roles":{"device":{"400938383779630118":"zitadel.localhost"}},"urn:zitadel:iam:user:metadata":{"device_id":"c2Vuc29yLWE"}}`),
		},
		Client: wire.Client{Host: "192.0.2.17", ID: 4711, Kind: "Client", Type: "nats", ServerID: "NCXKQ6VTVQ3TQ2IGLQYCZSYB2YFDGZ3KXA4IZKU2PL4Q2XQ5UYTNL6AG", ServerName: "n1"},
	}
}
