package callout

import (
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

func TestSource(t *testing.T) {
	server, mine := newAuthority(t), must(nkeys.CreateCurveKeys())
	claims := server.claims(time.Now())
	// A client chooses its name, not its address.
	claims.Server.Name = `"client_info":{"host":"203.0.113.1"`
	claims.ConnectOptions.Name = claims.Server.Name
	text := server.sign(claims)
	plain, sealed := &opener{keys: holding()}, &opener{keys: holding(mine)}
	if got := plain.source(text, ""); got != "192.0.2.7" {
		t.Errorf("plain: %q", got)
	}
	if got := sealed.source(server.seal(text, must(mine.PublicKey())), server.xkeyID); got != "192.0.2.7" {
		t.Errorf("sealed: %q", got)
	}
	for name, data := range map[string][]byte{"empty": nil, "noise": []byte("a.b.c"), "no base64": []byte("a.!!.c"), "no host": []byte("eyJ.e30.c")} {
		if got := plain.source(data, ""); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := sealed.source(text, ""); got != "" {
		t.Errorf("plain where it must be sealed: %q", got)
	}
}

func BenchmarkSource(b *testing.B) {
	server := newAuthority(b)
	text, o := server.sign(server.claims(time.Now())), &opener{keys: holding()}
	for b.Loop() {
		if o.source(text, "") == "" {
			b.Fatal("no address")
		}
	}
}
