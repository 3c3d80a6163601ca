package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/wire"
)

// HeaderServerXKey is where nats-server puts its public curve key beside a sealed request.
const HeaderServerXKey = "Nats-Server-Xkey"

// AuthServer is the side of nats-server that asks a callout who a connection is, without a server: it makes requests as
// server/auth_callout.go does, and reads the answers as that does.
type AuthServer struct {
	ID   string // public server key, the issuer of its requests
	Key  nkeys.KeyPair
	XKey nkeys.KeyPair // its curve key, used when a request is sealed
}

// NewAuthServer returns one with keys of its own.
func NewAuthServer(t testing.TB) *AuthServer {
	t.Helper()
	key, err := nkeys.CreateServer()
	id := public(t, key, err)
	xkey, err := nkeys.CreateCurveKeys()
	public(t, xkey, err)
	return &AuthServer{ID: id, Key: key, XKey: xkey}
}

// Claims returns the claims of a request for a client that presents token as auth_token, valid for two seconds from now.
func (a *AuthServer) Claims(t testing.TB, issuer, token string, now time.Time) *jwt.AuthorizationRequestClaims {
	t.Helper()
	user, err := nkeys.CreateUser()
	c := jwt.NewAuthorizationRequestClaims(issuer)
	c.UserNkey = public(t, user, err)
	c.Audience = "nats-authorization-request"
	c.Expires = now.Add(2 * time.Second).Unix()
	c.Server = jwt.ServerID{Name: "test", Host: "127.0.0.1", ID: a.ID, Version: "2.15.2"}
	c.ClientInformation = jwt.ClientInformation{Host: "127.0.0.1", ID: 7, Kind: "Client", Type: "nats"}
	c.ConnectOptions = jwt.ConnectOptions{Token: token, Lang: "go", Protocol: 1}
	return c
}

// Message signs c and returns the message for the callout, sealed for xkey, a public curve key, unless that is empty.
func (a *AuthServer) Message(t testing.TB, c *jwt.AuthorizationRequestClaims, xkey string) *nats.Msg {
	t.Helper()
	m := nats.NewMsg(wire.SubjectUserAuth)
	if xkey != "" {
		c.Server.XKey = public(t, a.XKey, nil)
		m.Header.Set(HeaderServerXKey, c.Server.XKey)
	}
	text, err := c.Encode(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	m.Data = []byte(text)
	if xkey != "" {
		if m.Data, err = a.XKey.Seal(m.Data, xkey); err != nil {
			t.Fatal(err)
		}
	}
	return m
}
