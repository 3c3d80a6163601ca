package callout

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// referenceUser has jwt/v2 encode c.
func referenceUser(t testing.TB, c userClaims, key nkeys.KeyPair) string {
	t.Helper()
	claims := jwt.NewUserClaims(c.subject)
	claims.Audience, claims.Name, claims.Expires, claims.Permissions = c.audience, c.name, c.expires, c.permissions
	return must(claims.Encode(key))
}

func referenceResponse(t testing.TB, c responseClaims, key nkeys.KeyPair) string {
	t.Helper()
	claims := jwt.NewAuthorizationResponseClaims(c.subject)
	claims.Audience, claims.Jwt, claims.Error = c.audience, c.userJWT, c.refusal
	return must(claims.Encode(key))
}

// sameBytes compares an encoding with the reference, which takes its time from the clock.
func sameBytes(t testing.TB, encode func(time.Time) (string, error), reference func() string) {
	t.Helper()
	for {
		now := time.Now()
		want := reference()
		if now.Unix() != time.Now().Unix() {
			continue // a second began in between
		}
		if got := must(encode(now)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		return
	}
}

// TestEncodeAsJWT: every JWT is byte for byte what jwt/v2 makes of the same claims.
func TestEncodeAsJWT(t *testing.T) {
	key, user, server := newIssuer(t), must(must(nkeys.CreateUser()).PublicKey()), must(must(nkeys.CreateServer()).PublicKey())
	lists := [][]string{nil, {}, {">"}, {"device-state.a", "_INBOX.>"}, {`quote"back\slash`, "<&>", "grüße", "\u2028", "a b"}}
	for _, allow := range lists {
		for _, deny := range lists {
			for _, resp := range []*jwt.ResponsePermission{nil, {MaxMsgs: 3, Expires: time.Second}} {
				c := userClaims{audience: "DEVICES", subject: user, name: "sensor", expires: 1795517272, permissions: jwt.Permissions{
					Pub: jwt.Permission{Allow: allow, Deny: deny}, Sub: jwt.Permission{Allow: deny, Deny: allow}, Resp: resp,
				}}
				sameBytes(t, func(now time.Time) (string, error) { return c.encode(key, now) }, func() string { return referenceUser(t, c, key) })
			}
		}
	}
	for _, c := range []userClaims{{subject: user}, {subject: user, name: "ü\"", audience: "A<B"}} {
		sameBytes(t, func(now time.Time) (string, error) { return c.encode(key, now) }, func() string { return referenceUser(t, c, key) })
	}
	for _, c := range []responseClaims{
		{audience: server, subject: user, userJWT: "a.b.c"}, {audience: server, subject: user, refusal: denialText},
		{audience: server, subject: user, userJWT: strings.Repeat("x", 5000)},
	} {
		sameBytes(t, func(now time.Time) (string, error) { return c.encode(key, now) }, func() string { return referenceResponse(t, c, key) })
	}
	if _, err := (&userClaims{subject: server}).encode(key, time.Now()); err == nil {
		t.Error("a subject that is no user key was encoded")
	}
}

// FuzzEncode: for any texts, the same bytes.
func FuzzEncode(f *testing.F) {
	f.Add("DEVICES", "sensor", "device-state.a", "x>", int64(1), int64(5))
	f.Add("", "\xff\u2028", "", "\x00", int64(-1), int64(0))
	key, user := newIssuer(f), must(must(nkeys.CreateUser()).PublicKey())
	f.Fuzz(func(t *testing.T, audience, name, one, other string, expires, ttl int64) {
		c := userClaims{audience: audience, subject: user, name: name, expires: expires, permissions: jwt.Permissions{
			Pub:  jwt.Permission{Allow: jwt.StringList{one, other}},
			Sub:  jwt.Permission{Allow: jwt.StringList{other}, Deny: jwt.StringList{one}},
			Resp: &jwt.ResponsePermission{MaxMsgs: int(expires), Expires: time.Duration(ttl)},
		}}
		sameBytes(t, func(now time.Time) (string, error) { return c.encode(key, now) }, func() string { return referenceUser(t, c, key) })
		r := responseClaims{audience: audience, subject: user, userJWT: one, refusal: other}
		sameBytes(t, func(now time.Time) (string, error) { return r.encode(key, now) }, func() string { return referenceResponse(t, r, key) })
	})
}

// sameDecode compares the decoder with jwt/v2 on one text.
func sameDecode(t testing.TB, d *decoder, text string) {
	t.Helper()
	got, fail := d.decode(text)
	want, wantFail := decodeAny(text)
	switch {
	case (fail == nil) != (wantFail == nil), fail != nil && fail.Code != wantFail.Code:
		t.Fatalf("%v, want %v", fail, wantFail)
	case !reflect.DeepEqual(got, want):
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeAsJWT(t *testing.T) {
	server, d := newAuthority(t), &decoder{}
	full := server.claims(time.Now())
	full.Name, full.NotBefore, full.RequestNonce, full.Tags = "n", 1, "r", jwt.TagList{"a", "b"}
	full.Server = jwt.ServerID{Name: "s\"1", Host: "h", ID: server.id, Version: "2", Cluster: "c", Tags: jwt.TagList{"t"}, XKey: server.xkeyID}
	full.ClientInformation = jwt.ClientInformation{Host: "h", ID: 1 << 63, User: "u", Name: "n", Tags: jwt.TagList{"t"}, NameTag: "x", Kind: "k", Type: "t", MQTT: "m", Nonce: "o"}
	full.ConnectOptions = jwt.ConnectOptions{JWT: "j", Nkey: "k", SignedNonce: "s", Token: "t", Username: "u", Password: "p<>", Name: "é", Lang: "go", Version: "1", Protocol: 1}
	full.TLS = &jwt.ClientTLS{Version: "1.3", Cipher: "c", Certs: jwt.StringList{"a\nb"}, VerifiedChains: []jwt.StringList{{"x\n", "y"}, {}}}
	for _, c := range []*jwt.AuthorizationRequestClaims{server.claims(time.Now()), full} {
		text := string(server.sign(c))
		if head, rest, _ := strings.Cut(text, "."); head != jwtHeader || readRequest(rest[:strings.Index(rest, ".")]) == nil {
			t.Error("what a server writes is not read in one pass")
		}
		sameDecode(t, d, text)
		for _, broken := range []string{text[:len(text)-4] + "AAAA", text + ".", text + "=", text[:len(text)-20], "x" + text, strings.Replace(text, ".", "..", 1), text + "\n"} {
			sameDecode(t, d, broken)
		}
	}
	if len(d.keys.keys) != 1 {
		t.Errorf("%d keys are kept, want that of the one server", len(d.keys.keys))
	}
}

// TestServerKeysAreBounded: keys of one's own making fill no memory.
func TestServerKeysAreBounded(t *testing.T) {
	k := serverKeys{}
	for range 2*maxServerKeys + 10 {
		id := must(must(nkeys.CreateServer()).PublicKey())
		key, ok := k.get(id)
		if !ok {
			t.Fatal("a server's key is not taken for one")
		}
		k.put(id, key)
	}
	if len(k.keys) > maxServerKeys {
		t.Errorf("%d keys", len(k.keys))
	}
}

// FuzzDecodeRequest: any payload that a server key signed is read as jwt/v2 reads it.
func FuzzDecodeRequest(f *testing.F) {
	server, d := newAuthority(f), &decoder{}
	for _, payload := range []string{
		`{"iss":"` + server.id + `","aud":"nats-authorization-request","exp":2,"iat":1,"jti":"X","sub":"A","nats":{"server_id":{"name":"n","host":"h","id":"N"},"user_nkey":"U","client_info":{"id":7},"connect_opts":{"auth_token":"t","protocol":1},"type":"authorization_request","version":2}}`,
		`{"iss":"` + server.id + `","ISS":"x","nats":{"type":"authorization_request","version":2,"Type":"user"}}`,
		`{"iss":"` + server.id + `","type":"user","nats":{"type":"authorization_request","version":2}}`,
		`{"iss":"` + server.id + `","nats":{"type":"authorization_request","version":2,"client_tls":{"verified_chains":[null,["a"]]}},"exp":1.5}`,
		`{"iss":"` + server.id + `","nats":{"type":"authorization_request","version":2,"client_info":{"host":"\ud800"},"later":[{}]}}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		sameDecode(t, d, string(signText(payload, server.key)))
	})
}

func BenchmarkMint(b *testing.B) {
	key, user := newIssuer(b), must(must(nkeys.CreateUser()).PublicKey())
	c := userClaims{audience: "DEVICES", subject: user, name: "sensor-1", expires: 1795517272, permissions: jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{"device-state.sensor-1", "_INBOX.>"}}, Sub: jwt.Permission{Allow: jwt.StringList{"device-commands.sensor-1", "_INBOX.>"}},
	}}
	b.Run("lean", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(c.encode(key, time.Now()))
		}
	})
	b.Run("jwt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			referenceUser(b, c, key)
		}
	})
}

func BenchmarkDecodeRequest(b *testing.B) {
	server, d := newAuthority(b), &decoder{}
	text := string(server.sign(server.claims(time.Now())))
	b.Run("one pass", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, fail := d.decode(text); fail != nil {
				b.Fatal(fail)
			}
		}
	})
	b.Run("jwt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, fail := decodeAny(text); fail != nil {
				b.Fatal(fail)
			}
		}
	})
}
