package natsx

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/wire"
)

// inbox receives the replies of one Caller on a prefix of its own and hands each to the call that waits for it. A reply
// finds its call only by 96 random bits that were in no other request, so that nobody can answer for another, and an
// answer to an earlier request is nobody's.
type inbox struct {
	prefix string // with the dot
	// answered is called, without mu, for the first sign of life of a message that the outbox sent.
	answered func(*sent)

	mu      sync.Mutex
	calls   map[string]*pending
	batches map[string]*sent // by the last token of their reply subject
}

// pending is one call that waits.
type pending struct {
	id      string
	replies chan *nats.Msg
	sent    *sent // the message that holds the call's first attempt, nil while there is none
}

// sent is a message with the first attempts of one call or several. mu of the inbox guards it.
type sent struct {
	id    string // of a batch
	calls []*pending
	open  int // calls that still wait
	done  bool
}

// maxReplies of one call that are kept until it looks; more than one to each attempt is a duplicate.
const maxReplies = 2 * maxAttempts

func newInbox(c *Conn) (*inbox, error) {
	in := &inbox{prefix: c.NewInbox() + ".", calls: make(map[string]*pending), batches: make(map[string]*sent)}
	if _, err := c.Subscribe(in.prefix+"*", in.deliver); err != nil {
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

// expect notes that s is about to be sent, and reports whether any of its calls still waits. Without one s must not be
// sent: nothing would end it.
func (in *inbox) expect(s *sent) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range s.calls {
		if in.calls[p.id] == p {
			p.sent = s
			s.open++
		}
	}
	if s.open > 0 && s.id != "" {
		in.batches[s.id] = s
	}
	return s.open > 0
}

func (in *inbox) close(p *pending) {
	in.mu.Lock()
	delete(in.calls, p.id)
	s := p.sent
	over := s != nil && !s.done
	if s != nil {
		if s.open--; s.open == 0 {
			delete(in.batches, s.id)
		}
		// A message that nobody waits for any more must not hold up others.
		over = over && s.open == 0
		s.done = s.done || over
	}
	in.mu.Unlock()
	if over {
		in.answered(s)
	}
}

// deliver drops what nobody waits for.
func (in *inbox) deliver(m *nats.Msg) {
	id := strings.TrimPrefix(m.Subject, in.prefix)
	in.mu.Lock()
	p, s := in.calls[id], in.batches[id]
	if p != nil {
		s = p.sent
	}
	first := s != nil && !s.done
	if first {
		s.done = true
	}
	if p == nil && s != nil {
		in.deliverBatch(s, m)
	}
	in.mu.Unlock()
	if p != nil {
		p.put(m)
	}
	if first {
		in.answered(s)
	}
}

// notBatched stands as the status of what a call gets in place of a reply when a replica did not know batches.
const notBatched = "not-batched"

// deliverBatch hands out the replies in m; in.mu is held. What is no batch came from a server that has nobody to give the
// batch to, or from a replica that knows none: each call is told.
func (in *inbox) deliverBatch(s *sent, m *nats.Msg) {
	items, err := wire.ReadBatchReplies(m.Data)
	if m.Header.Get(wire.HeaderBatch) == "" || err != nil {
		status := notBatched
		if len(m.Data) == 0 && m.Header.Get(statusHeader) == noResponders {
			status = noResponders
		}
		for _, p := range s.calls {
			p.put(&nats.Msg{Header: nats.Header{statusHeader: {status}}})
		}
		return
	}
	for _, item := range items {
		p := in.calls[item.ID]
		if p == nil || p.sent != s {
			continue
		}
		reply := &nats.Msg{Data: item.Body}
		if item.Code != 0 {
			reply.Header = nats.Header{wire.HeaderErrorCode: {strconv.Itoa(int(item.Code))}}
		}
		p.put(reply)
	}
}

func (p *pending) put(m *nats.Msg) {
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
