package callout

import (
	"bytes"
	"time"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/wire"
)

const (
	// requestAudience is aud of every authorization request (nats-server, server/auth_callout.go).
	requestAudience = "nats-authorization-request"
	// headerServerXKey names the server's public curve key on a sealed request.
	headerServerXKey = "Nats-Server-Xkey"
	// requestVersion is nats.version of a request; older forms sign less of the text and no server sends them.
	requestVersion = 2
	// maxServerWait is more than any authorization.timeout that makes sense; a longer one is cut to it.
	maxServerWait = time.Minute
)

var (
	sealedPrefix = []byte(nkeys.XKeyVersionV1)
	jwtPrefix    = "eyJ"
)

// authRequest is an authorization request that verified.
type authRequest struct {
	ServerID   string // public server key (N...), the issuer
	ServerName string
	ServerXKey string // public curve key of the server; empty when the request came in plain text
	UserNkey   string // public user key that the answer must name
	// Issuer is the public key that the server trusts as issuer. signer is its pair, nil when that is not held: no answer
	// would be taken then.
	Issuer string
	signer *signingKey
	// sealer is the xkey that opened the request and seals the answer; nil in plain text.
	sealer nkeys.KeyPair
	// Wait is how long the server waits for the answer, in whole seconds, at least one (DESIGN P2).
	Wait        time.Duration
	Credentials credentials
	Client      wire.Client
}

// opener verifies authorization requests. Safe for concurrent use.
type opener struct {
	// keys are those in force. With an xkey plain text is refused, without one a sealed request.
	keys func() *keys
	// leeway is how far the clocks of servers and callout may differ.
	leeway  time.Duration
	decoder decoder
}

// open returns the request in data, or why it does not verify; serverXKey is the value of its header, empty without one.
// A request that does not verify has no sender to answer to. The checks follow what nats-server writes
// (server/auth_callout.go, processClientOrLeafCallout):
//
//  1. size
//  2. sealed exactly when an xkey is configured, and opened with the header's key
//  3. a JWT of type authorization_request, signed by its issuer, which is a server key
//  4. the issuer is the server that the request names
//  5. the audience
//  6. exp and iat, with leeway
//  7. the header's key is the named server's
//  8. user_nkey is a user key
//
// A signature proves that some server key signed the request and not which operator's: any process can make such a key.
func (o *opener) open(data []byte, serverXKey string, now time.Time) (*authRequest, *wire.Error) {
	return o.read(o.unseal(data, serverXKey), now)
}

// read does the checks after the second.
func (o *opener) read(u *unsealed, now time.Time) (*authRequest, *wire.Error) {
	if u.fail != nil {
		return nil, u.fail
	}
	claims, fail := o.decoder.decode(string(u.text))
	if fail != nil {
		return nil, fail
	}
	if claims.Issuer != claims.Server.ID {
		return nil, wire.Fail(wire.RequestIssuer, "issuer is not server_id.id", nil)
	}
	if claims.Audience != requestAudience {
		return nil, wire.Fail(wire.RequestAudience, "", nil)
	}
	wait, fail := serverWait(claims.IssuedAt, claims.Expires, now, o.leeway)
	if fail != nil {
		return nil, fail
	}
	if claims.Server.XKey != u.serverXKey {
		return nil, wire.Fail(wire.RequestSeal, "the header's key is not server_id.xkey", nil)
	}
	if !nkeys.IsValidPublicUserKey(claims.UserNkey) {
		return nil, wire.Fail(wire.RequestMalformed, "user_nkey is not a user key", nil)
	}
	creds := credentials{
		AuthToken: claims.ConnectOptions.Token,
		Password:  claims.ConnectOptions.Password,
		JWT:       claims.ConnectOptions.JWT,
	}
	client, err := clientOf(claims, creds)
	if err != nil {
		return nil, wire.Fail(wire.RequestMalformed, "client_tls", err)
	}
	return &authRequest{
		ServerID:    claims.Server.ID,
		ServerName:  claims.Server.Name,
		ServerXKey:  u.serverXKey,
		UserNkey:    claims.UserNkey,
		Issuer:      claims.Subject,
		signer:      u.held.issuer(claims.Subject),
		sealer:      u.sealer,
		Wait:        wait,
		Credentials: creds,
		Client:      client,
	}, nil
}

// unsealed is a request after the first two checks.
type unsealed struct {
	held       *keys // those in force when it was opened
	serverXKey string
	text       []byte        // the request JWT
	sealer     nkeys.KeyPair // the xkey that opened it, nil in plain text
	fail       *wire.Error   // why it could not be opened; text is empty then
}

// unseal does the first two checks.
func (o *opener) unseal(data []byte, serverXKey string) *unsealed {
	if len(data) > wire.MaxAuthRequestBytes {
		return &unsealed{fail: wire.Fail(wire.RequestTooLarge, "", nil)}
	}
	held := o.keys()
	text, sealer, fail := held.unseal(data, serverXKey)
	return &unsealed{held: held, serverXKey: serverXKey, text: text, sealer: sealer, fail: fail}
}

// unseal returns the request JWT and the xkey that opened it.
func (k *keys) unseal(data []byte, serverXKey string) ([]byte, nkeys.KeyPair, *wire.Error) {
	sealed := bytes.HasPrefix(data, sealedPrefix)
	switch {
	case !k.sealed() && (sealed || serverXKey != ""):
		return nil, nil, wire.Fail(wire.RequestSeal, "the request is sealed and no xkey_seed_file is configured", nil)
	case !k.sealed():
		return data, nil, nil
	case !sealed && serverXKey == "":
		return nil, nil, wire.Fail(wire.RequestNotSealed, "", nil)
	case !sealed:
		return nil, nil, wire.Fail(wire.RequestNotSealed, "plain text with a sealed request's header", nil)
	case !nkeys.IsValidPublicCurveKey(serverXKey):
		return nil, nil, wire.Fail(wire.RequestSeal, "the header holds no curve key", nil)
	}
	var err error
	for _, xkey := range k.curves {
		var text []byte
		if text, err = xkey.Open(data, serverXKey); err == nil {
			return text, xkey, nil
		}
	}
	return nil, nil, wire.Fail(wire.RequestSeal, "sealed by or for another key", err)
}

// serverWait checks the request's times and returns how long its server waits. Both are whole seconds, cut down, so that
// a timeout of two seconds may show as one; less than one second shows as one or none and counts as one.
func serverWait(issuedAt, expires int64, now time.Time, leeway time.Duration) (time.Duration, *wire.Error) {
	if issuedAt <= 0 || expires <= 0 || expires < issuedAt {
		return 0, wire.Fail(wire.RequestExpired, "exp or iat is missing, or exp lies before iat", nil)
	}
	iat, exp := time.Unix(issuedAt, 0), time.Unix(expires, 0)
	if iat.After(now.Add(leeway)) {
		return 0, wire.Fail(wire.RequestExpired, "issued in the future: check the clocks of this host and of the server", nil)
	}
	if exp.Add(leeway).Before(now) {
		return 0, wire.Fail(wire.RequestExpired, "", nil)
	}
	return min(max(exp.Sub(iat), time.Second), maxServerWait), nil
}
