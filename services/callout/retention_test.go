package callout

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/heaptest"
	"harmony.internal/authcallout/shared/wire"
)

// TestNoTokenIsKept: what is remembered of a login, by whoever, is not more than its names; a part of a message would keep all of it, with
// a token that anybody can make as long as nats-server lets him.
func TestNoTokenIsKept(t *testing.T) {
	const logins, most = 1000, 5 << 10 // bytes each: two records that wait to be published, and some names
	long := strings.Repeat("x", 16<<10)
	b := newBench(t)
	publish := newPublisher(must(wire.NewSubjects("")), "1.0.0")
	b.handler.recorder = newRecorder(zap.NewNop(), publish, newWitness(publish, zap.NewNop()))
	b.near.onCheck = failsWith(wire.TokenTooLarge)
	w := b.handler.recorder.witness
	before := heaptest.InUse()
	for i := range uint64(logins) {
		m := b.message(b.request(func(c *jwt.AuthorizationRequestClaims) {
			c.ClientInformation.ID, c.ConnectOptions.Token = i+1, long
		}))
		b.handler.handle(t.Context(), m)
		again := b.message(m.data) // the same request twice
		b.handler.handle(t.Context(), again)
		b.answers = nil
		w.failed(&nats.Msg{Data: fmt.Appendf(nil, `{"server":{"id":"N%d","name":"n1"},"client":{"id":%d,"host":"192.0.2.7","jwt":%q},"reason":""}`, i, i+1, long)})
		w.heard(&nats.Msg{Data: fmt.Appendf(nil, `{"outcome":"denied","server_id":"N%d","cid":%d,"client_name":%q}`, i, logins+i, long)})
		// Each from another server, as somebody can who may publish requests.
		b.server = newAuthority(t)
	}
	grown := heaptest.InUse() - before
	if n := len(w.failures); n != 2*logins {
		t.Errorf("%d failures are remembered, want %d", n, 2*logins)
	}
	if n := len(publish.queue) + len(w.events) + len(b.handler.servers.seen); n != 4*logins {
		t.Errorf("%d records, events and servers are kept, want %d", n, 4*logins)
	}
	keys := int64(len(b.handler.opener.decoder.keys.keys)) * 42 << 10
	if each := (grown - keys) / logins; each > most {
		t.Errorf("%d bytes are kept of a login, want at most %d", each, most)
	}
	if outcomes, _ := b.handler.recorder.counts(); outcomes[outcomeDenied] != 2*logins {
		t.Errorf("%v", outcomes)
	}
	runtime.KeepAlive(b)
}
