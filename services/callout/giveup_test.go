package callout

import (
	"context"
	"strconv"
	"testing"

	"harmony.internal/authcallout/shared/wire"
)

// TestGiveUpsEndWithNothingLeft: what waits when a replica stops is hung up on and recorded, in its order; what did not fit
// was let go at once.
func TestGiveUpsEndWithNothingLeft(t *testing.T) {
	var done, dropped []string
	g := newGiveUps(
		func(m message, fail *wire.Error) { done = append(done, m.id+" "+fail.Code.String()) },
		func(m message, _ *wire.Error) { dropped = append(dropped, m.id) })
	for i := range maxGiveUps + 2 {
		g.add(message{id: strconv.Itoa(i)}, wire.Fail(wire.Overloaded, "", nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.run(ctx)
	if len(done) != maxGiveUps || done[0] != "0 overloaded" || done[maxGiveUps-1] != strconv.Itoa(maxGiveUps-1)+" overloaded" {
		t.Errorf("%d of %d were given up", len(done), maxGiveUps)
	}
	if len(dropped) != 2 {
		t.Errorf("%v were let go unread, want the two that did not fit", dropped)
	}
	if n := g.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are counted of an empty queue", n)
	}
}

// TestGiveUpsAreBoundedInBytes: requests are as large as their clients make them.
func TestGiveUpsAreBoundedInBytes(t *testing.T) {
	dropped := 0
	g := newGiveUps(nil, func(message, *wire.Error) { dropped++ })
	const size = 64 << 10
	for i := range maxGiveUpBytes/size + 3 {
		m := message{data: make([]byte, size)}
		if i%2 == 0 { // one that was opened
			m = message{unsealed: &unsealed{text: m.data}}
		}
		g.add(m, wire.Fail(wire.Overloaded, "", nil))
	}
	if len(g.queue) != maxGiveUpBytes/size || dropped != 3 {
		t.Errorf("%d wait, %d were let go unread", len(g.queue), dropped)
	}
}
