package callout

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

func TestSource(t *testing.T) {
	server, mine := newAuthority(t), must(nkeys.CreateCurveKeys())
	claims := server.claims(time.Now())
	// A client chooses its name, not its address.
	claims.Server.Name = `"client_info":{"host":"203.0.113.1"`
	claims.ConnectOptions.Name = claims.Server.Name
	text := server.sign(claims)
	plain, sealed := &opener{keys: holding()}, &opener{keys: holding(mine)}
	if got := plain.unseal(text, "").source(); got != "192.0.2.7" {
		t.Errorf("plain: %q", got)
	}
	if got := sealed.unseal(server.seal(text, must(mine.PublicKey())), server.xkeyID).source(); got != "192.0.2.7" {
		t.Errorf("sealed: %q", got)
	}
	for name, data := range map[string][]byte{"empty": nil, "noise": []byte("a.b.c"), "no base64": []byte("a.!!.c"), "no host": []byte("eyJ.e30.c")} {
		if got := plain.unseal(data, "").source(); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := sealed.unseal(text, "").source(); got != "" {
		t.Errorf("plain where it must be sealed: %q", got)
	}
}

func TestNetwork(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "2001:db8:1:3::": "2001:db8:1:3::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "gateway.example.com": "gateway.example.com",
	} {
		if got := network(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func BenchmarkSource(b *testing.B) {
	server := newAuthority(b)
	text, o := server.sign(server.claims(time.Now())), &opener{keys: holding()}
	for b.Loop() {
		if o.unseal(text, "").source() == "" {
			b.Fatal("no address")
		}
	}
}

// TestOpenedOnce: a request whose source was asked for is worked on and given up with what that opened, by the keys in
// force then.
func TestOpenedOnce(t *testing.T) {
	server, mine := newAuthority(t), must(nkeys.CreateCurveKeys())
	claims := server.claims(time.Now())
	claims.Server.XKey = server.xkeyID
	sealed := server.seal(server.sign(claims), must(mine.PublicKey()))
	s := &Service{opener: &opener{keys: holding(mine), leeway: time.Second}}
	r := &natsx.Request{Data: sealed, Header: micro.Headers{headerServerXKey: {server.xkeyID}}}
	if got := s.source(r); got != "192.0.2.7" {
		t.Fatalf("source %q", got)
	}
	s.opener.keys = holding(must(nkeys.CreateCurveKeys())) // which cannot open it
	req, fail := messageOf(r).open(s.opener, time.Now())
	if fail != nil {
		t.Fatalf("opened again: %v", fail)
	}
	if req.Client.Host != "192.0.2.7" || req.sealer != mine || req.ServerXKey != server.xkeyID {
		t.Errorf("request %+v", req)
	}
	r = &natsx.Request{Data: make([]byte, wire.MaxAuthRequestBytes+1), Header: r.Header}
	if got := s.source(r); got != "" {
		t.Errorf("source of one that is too large: %q", got)
	}
	if _, fail = messageOf(r).open(s.opener, time.Now()); fail == nil || fail.Code != wire.RequestTooLarge {
		t.Errorf("too large: %v", fail)
	}
}
