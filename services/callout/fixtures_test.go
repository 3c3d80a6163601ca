package callout

import (
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/wire"
)

// authority is a nats-server's side of the callout: it signs and seals requests as server/auth_callout.go does.
type authority struct {
	t      testing.TB
	key    nkeys.KeyPair
	id     string
	xkey   nkeys.KeyPair
	xkeyID string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := must(nkeys.CreateServer())
	xkey := must(nkeys.CreateCurveKeys())
	return &authority{t: t, key: key, id: must(key.PublicKey()), xkey: xkey, xkeyID: must(xkey.PublicKey())}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// claims are those of an ordinary request at now.
func (a *authority) claims(now time.Time) *jwt.AuthorizationRequestClaims {
	c := jwt.NewAuthorizationRequestClaims(testIssuer.public)
	c.Audience = requestAudience
	c.UserNkey = must(must(nkeys.CreateUser()).PublicKey())
	c.Server = jwt.ServerID{Name: "s1", Host: "127.0.0.1", ID: a.id, Version: "2.15.2"}
	c.Expires = now.Add(2 * time.Second).Unix()
	c.ClientInformation = jwt.ClientInformation{Host: "192.0.2.7", ID: 11, User: "[REDACTED]", Name: "pump", Kind: "Client", Type: "nats"}
	c.ConnectOptions = jwt.ConnectOptions{Token: "the.device.token", Name: "pump", Protocol: 1}
	return c
}

func (a *authority) sign(c *jwt.AuthorizationRequestClaims) []byte {
	a.t.Helper()
	return []byte(must(c.Encode(a.key)))
}

// seal returns data as the server sends it to the owner of the public curve key to.
func (a *authority) seal(data []byte, to string) []byte {
	a.t.Helper()
	return must(a.xkey.Seal(data, to))
}

func newIssuer(t testing.TB) *signingKey {
	t.Helper()
	seed := must(must(nkeys.CreateAccount()).Seed())
	return must(newSigningKey(seed))
}

// testIssuer is what every authority of these tests trusts.
var testIssuer = must(newSigningKey(must(must(nkeys.CreateAccount()).Seed())))

// holding returns keys with testIssuer and these xkeys.
func holding(curves ...nkeys.KeyPair) func() *keys {
	k := &keys{issuers: []*signingKey{testIssuer}, curves: curves}
	return func() *keys { return k }
}

func newMinter(t testing.TB) *minter {
	t.Helper()
	return &minter{
		maxSession: 24 * time.Hour,
		spread:     5 * time.Minute,
		maxUserJWT: defaultMaxUserJWT,
		fence:      newFence(must(wire.NewSubjects("")), "_AUTH_INBOX"),
		random:     func(time.Duration) time.Duration { return 0 },
	}
}

// wantCode fails the test unless fail has the code; 0 means that nothing failed.
func wantCode(t *testing.T, fail *wire.Error, code wire.Code) {
	t.Helper()
	switch {
	case fail == nil && code != 0:
		t.Fatalf("accepted, want %s", code)
	case fail != nil && fail.Code != code:
		t.Fatalf("failed with %v, want code %d (%s)", fail, code, code)
	}
}
