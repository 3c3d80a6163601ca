package natsx

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// inbox receives the replies of one Caller on a prefix of its own and hands each to the call that waits for it. A reply
// finds its call only by 96 random bits that were in no other request, so that nobody can answer for another, and an
// answer to an earlier request is nobody's. Safe for concurrent use.
type inbox struct {
	prefix string // with the dot

	mu    sync.Mutex          // guards calls, held for one look or change
	calls map[string]*pending // by the token of their reply subject after prefix
}

// pending is one call that waits.
type pending struct {
	id      string
	replies chan *nats.Msg
}

// maxReplies of one call that are kept until it looks; more than one to each attempt is a duplicate.
const maxReplies = 2 * maxAttempts

func newInbox(c *Conn) (*inbox, error) {
	in := &inbox{prefix: c.NewInbox() + ".", calls: make(map[string]*pending)}
	if _, err := c.Subscribe(in.prefix+">", in.deliver); err != nil {
		return nil, err
	}
	return in, nil
}

func (in *inbox) open() *pending {
	p := &pending{id: randomID(), replies: make(chan *nats.Msg, maxReplies)}
	in.mu.Lock()
	in.calls[p.id] = p
	in.mu.Unlock()
	return p
}

func (in *inbox) close(p *pending) {
	in.mu.Lock()
	delete(in.calls, p.id)
	in.mu.Unlock()
}

// deliver drops what nobody waits for.
func (in *inbox) deliver(m *nats.Msg) {
	id := strings.TrimSuffix(strings.TrimPrefix(m.Subject, in.prefix), wire.HandedOnReply)
	in.mu.Lock()
	p := in.calls[id]
	in.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case p.replies <- m:
	default:
	}
}

// randomID returns 96 random bits as one subject token.
func randomID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
