package callout

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/wire"
)

func TestOpenAcceptsWhatTheServerSends(t *testing.T) {
	now := time.Now()
	server := newAuthority(t)
	o := &opener{keys: holding(), leeway: defaultClockLeeway}
	claims := server.claims(now)
	req, fail := o.open(server.sign(claims), "", now)
	wantCode(t, fail, 0)
	if req.ServerID != server.id || req.ServerName != "s1" || req.UserNkey != claims.UserNkey || req.ServerXKey != "" {
		t.Errorf("request is %+v", req)
	}
	if req.Credentials.AuthToken != "the.device.token" {
		t.Error("the token is not the one presented")
	}
	if req.Wait < time.Second || req.Wait > 2*time.Second {
		t.Errorf("server waits %s, want 2s, or 1s where a second began in between", req.Wait)
	}
	if c := req.Client; c.Host != "192.0.2.7" || c.ID != 11 || c.Type != "nats" || c.ServerID != server.id || c.TLS != nil {
		t.Errorf("client is %+v", c)
	}
}

func TestOpenRefuses(t *testing.T) {
	now := time.Now()
	server := newAuthority(t)
	sign := func(change func(*jwt.AuthorizationRequestClaims)) []byte {
		c := server.claims(now)
		change(c)
		return server.sign(c)
	}
	userKey := must(nkeys.CreateUser())
	accountKey := must(nkeys.CreateAccount())
	good := server.sign(server.claims(now))
	for _, row := range []struct {
		name string
		data []byte
		at   time.Duration // now, against the request's iat
		code wire.Code
	}{
		{name: "empty", data: nil, code: wire.RequestMalformed},
		{name: "not a JWT", data: []byte("hello"), code: wire.RequestMalformed},
		{name: "not a JWT that begins like one", data: []byte("eyJhbGciOiJub25lIn0"), code: wire.RequestMalformed},
		{name: "64 KiB and one byte", data: []byte("eyJ" + strings.Repeat("a", wire.MaxAuthRequestBytes-2)), code: wire.RequestTooLarge},
		{name: "64 KiB of noise", data: []byte("eyJ" + strings.Repeat("a", wire.MaxAuthRequestBytes-3)), code: wire.RequestMalformed},
		{name: "signed by an account key", data: forge(server.claims(now), accountKey, server.id), code: wire.RequestSignature},
		{name: "signed by an account key, issuer that key", data: forge(server.claims(now), accountKey, ""), code: wire.RequestSignature},
		{name: "signed by a user key, issuer that key", data: forge(server.claims(now), userKey, ""), code: wire.RequestSignature},
		{name: "signed by another server key", data: forge(server.claims(now), must(nkeys.CreateServer()), server.id), code: wire.RequestSignature},
		{name: "issuer is another server", data: forge(server.claims(now), must(nkeys.CreateServer()), ""), code: wire.RequestIssuer},
		{name: "signature cut", data: good[:len(good)-8], code: wire.RequestSignature},
		{name: "another type", data: []byte(must(jwt.NewGenericClaims(server.id).Encode(server.key))), code: wire.RequestSignature},
		{name: "wrong audience", data: sign(func(c *jwt.AuthorizationRequestClaims) { c.Audience = "someone" }), code: wire.RequestAudience},
		{name: "no audience", data: sign(func(c *jwt.AuthorizationRequestClaims) { c.Audience = "" }), code: wire.RequestAudience},
		{name: "no exp", data: sign(func(c *jwt.AuthorizationRequestClaims) { c.Expires = 0 }), code: wire.RequestExpired},
		{name: "expired", data: good, at: 2*time.Minute + 3*time.Second, code: wire.RequestExpired},
		{name: "issued in the future", data: good, at: -2*time.Minute - 3*time.Second, code: wire.RequestExpired},
		{name: "clock ahead within the leeway", data: good, at: 2 * time.Minute, code: 0},
		{name: "clock behind within the leeway", data: good, at: -119 * time.Second, code: 0},
		{name: "user_nkey is an account's", data: sign(func(c *jwt.AuthorizationRequestClaims) {
			c.UserNkey = must(accountKey.PublicKey())
		}), code: wire.RequestMalformed},
		{name: "user_nkey missing", data: sign(func(c *jwt.AuthorizationRequestClaims) { c.UserNkey = "" }), code: wire.RequestMalformed},
		{name: "xkey named, sent in plain text", data: sign(func(c *jwt.AuthorizationRequestClaims) { c.Server.XKey = server.xkeyID }), code: wire.RequestSeal},
		{name: "client_tls is garbage", data: sign(func(c *jwt.AuthorizationRequestClaims) {
			c.TLS = &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{"garbage"}}}
		}), code: wire.RequestMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := &opener{keys: holding(), leeway: defaultClockLeeway}
			req, fail := o.open(row.data, "", now.Add(row.at))
			wantCode(t, fail, row.code)
			if (req == nil) != (fail != nil) {
				t.Errorf("request %v with failure %v", req, fail)
			}
		})
	}
}

// forge signs claims with any key, as jwt/v2 itself would not, naming issuer, or the key's own when that is empty.
func forge(c *jwt.AuthorizationRequestClaims, key nkeys.KeyPair, issuer string) []byte {
	if issuer == "" {
		issuer = must(key.PublicKey())
	}
	c.Issuer, c.IssuedAt = issuer, c.Expires-2
	c.Type, c.Version = jwt.AuthorizationRequestClaim, requestVersion
	return signText(must(json.Marshal(c)), key)
}

func signText(payload []byte, key nkeys.KeyPair) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + b64(payload)
	return []byte(text + "." + b64(must(key.Sign([]byte(text)))))
}

// TestOpenRefusesOldAndUntypedVersions: jwt/v2 takes the signature of a version before 2 to be over the payload alone, and of
// none that is later.
func TestOpenRefusesOldAndUntypedVersions(t *testing.T) {
	now := time.Now()
	server := newAuthority(t)
	b64 := base64.RawURLEncoding.EncodeToString
	for _, row := range []struct {
		version int
		old     bool // signed as the first version was
		code    wire.Code
	}{
		{0, false, wire.RequestSignature},
		{1, false, wire.RequestSignature},
		{0, true, wire.RequestMalformed},
		{1, true, wire.RequestMalformed},
		{3, false, wire.RequestMalformed},
	} {
		c := server.claims(now)
		c.Issuer, c.IssuedAt, c.Type, c.Version = server.id, now.Unix(), jwt.AuthorizationRequestClaim, row.version
		payload := must(json.Marshal(c))
		data := signText(payload, server.key)
		if row.old {
			data = []byte(b64([]byte(`{"typ":"jwt","alg":"ed25519"}`)) + "." + b64(payload) + "." + b64(must(server.key.Sign([]byte(b64(payload))))))
		}
		t.Run(fmt.Sprint(row), func(t *testing.T) {
			_, fail := (&opener{keys: holding(), leeway: defaultClockLeeway}).open(data, "", now)
			wantCode(t, fail, row.code)
		})
	}
}

func TestOpenSealed(t *testing.T) {
	now := time.Now()
	server := newAuthority(t)
	mine := must(nkeys.CreateCurveKeys())
	mineID := must(mine.PublicKey())
	other := newAuthority(t)
	claims := server.claims(now)
	claims.Server.XKey = server.xkeyID
	plain := server.sign(claims)
	sealed := server.seal(plain, mineID)
	held := []nkeys.KeyPair{mine}
	for _, row := range []struct {
		name   string
		xkeys  []nkeys.KeyPair
		data   []byte
		header string
		code   wire.Code
	}{
		{"sealed", held, sealed, server.xkeyID, 0},
		{"plain text", held, plain, "", wire.RequestNotSealed},
		{"plain text with the header", held, plain, server.xkeyID, wire.RequestNotSealed},
		{"sealed without the header", held, sealed, "", wire.RequestSeal},
		{"header is no curve key", held, sealed, server.id, wire.RequestSeal},
		{"header names another key", held, sealed, other.xkeyID, wire.RequestSeal},
		{"sealed by another key than server_id.xkey", held, other.seal(plain, mineID), other.xkeyID, wire.RequestSeal},
		{"sealed for another callout", held, server.seal(plain, other.xkeyID), server.xkeyID, wire.RequestSeal},
		{"cut", held, sealed[:20], server.xkeyID, wire.RequestSeal},
		{"changed", held, append(append([]byte(nil), sealed[:len(sealed)-1]...), sealed[len(sealed)-1]^1), server.xkeyID, wire.RequestSeal},
		{"no xkey configured", nil, sealed, server.xkeyID, wire.RequestSeal},
		{"no xkey configured, header only", nil, plain, server.xkeyID, wire.RequestSeal},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := &opener{keys: holding(row.xkeys...), leeway: defaultClockLeeway}
			req, fail := o.open(row.data, row.header, now)
			wantCode(t, fail, row.code)
			if fail == nil && req.ServerXKey != server.xkeyID {
				t.Errorf("the answer would be sealed for %q", req.ServerXKey)
			}
		})
	}
}

func TestServerWait(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, row := range []struct {
		iat, exp int64 // against now
		wait     time.Duration
		code     wire.Code
	}{
		{0, 2, 2 * time.Second, 0},
		{0, 0, time.Second, 0}, // authorization.timeout below a second
		{0, 10, 10 * time.Second, 0},
		{0, 86400, maxServerWait, 0},
		{-2, -3, 0, wire.RequestExpired},
		{-10, -5, 5 * time.Second, 0},
		{-10, -6, 0, wire.RequestExpired},
		{5, 7, 2 * time.Second, 0},
		{6, 8, 0, wire.RequestExpired},
	} {
		wait, fail := serverWait(now.Unix()+row.iat, now.Unix()+row.exp, now, 5*time.Second)
		wantCode(t, fail, row.code)
		if wait != row.wait {
			t.Errorf("iat %+d exp %+d: waits %s, want %s", row.iat, row.exp, wait, row.wait)
		}
	}
}

// FuzzOpen looks for panics and for requests that open without what an answer needs.
func FuzzOpen(f *testing.F) {
	now := time.Now()
	server := newAuthority(f)
	mine := must(nkeys.CreateCurveKeys())
	good := server.sign(server.claims(now))
	f.Add(good, "")
	claims := server.claims(now)
	claims.Server.XKey = server.xkeyID
	f.Add(server.seal(server.sign(claims), must(mine.PublicKey())), server.xkeyID)
	f.Add([]byte("eyJ..."), "")
	f.Add([]byte("xkv1"), server.xkeyID)
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		for _, o := range []*opener{{keys: holding(), leeway: time.Second}, {keys: holding(mine), leeway: time.Second}} {
			req, fail := o.open(data, header, now)
			if (req == nil) == (fail == nil) {
				t.Fatalf("request %v with failure %v", req, fail)
			}
			if req != nil && (!nkeys.IsValidPublicServerKey(req.ServerID) || !nkeys.IsValidPublicUserKey(req.UserNkey) || req.Wait <= 0) {
				t.Fatalf("request %+v verified", req)
			}
		}
	})
}
