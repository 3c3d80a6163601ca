package callout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/wire"
)

// The two ways of ending an attempt in transient trouble (DESIGN P1).
const (
	// modeKick: the server is asked to close that one connection; the client takes it for a network failure.
	modeKick = "kick"
	// modeSilence: no answer; the client's own timeout ends the attempt. Safe only while that is no longer than the
	// server's authorization.timeout.
	modeSilence = "silence"
)

const (
	probeTimeout = time.Second
	// probeEvery is how often the right is looked at again while the connection stays up: a server reload may change it.
	probeEvery = 5 * time.Minute
	// probeSoon is when a look that nobody answered is repeated, and after twice that time the next: a server that is busy, as
	// when all come back to it at once, says nothing about the right.
	probeSoon = 2 * time.Second
)

// errNoAnswer is what a missing permission and a busy server have in common.
var errNoAnswer = errors.New("no answer: this user may not publish there, or the server is busy")

// kicker publishes requests to close connections; *nats.Conn is one.
type kicker interface {
	PublishRequest(subject, reply string, data []byte) error
	IsConnected() bool
}

// hangups ends single connections through the system account's KICK service. Safe for concurrent use.
type hangups struct {
	conn     kicker
	subjects wire.Subjects
	// reply is where the servers' answers arrive. Without a reply subject a server ignores the request
	// (server/events.go, zReq).
	reply   string
	allowed atomic.Bool
	// asked counts requests sent, refused answers that say it was not done: the connection was gone, or no server
	// listened.
	asked, refused atomic.Int64
}

// may says that a server can be asked now: the last look found the right, and the connection is up.
func (h *hangups) may() bool { return h.allowed.Load() && h.conn.IsConnected() }

// mode returns modeKick or modeSilence, as may says.
func (h *hangups) mode() string {
	if h.may() {
		return modeKick
	}
	return modeSilence
}

// hangUp asks serverID to close its connection cid, and reports whether it asked. It waits for no answer.
func (h *hangups) hangUp(serverID string, cid uint64) bool {
	if cid == 0 || !h.may() {
		return false
	}
	if err := h.conn.PublishRequest(h.subjects.Kick(serverID), h.reply, kickBody(cid)); err != nil {
		return false
	}
	h.asked.Add(1)
	return true
}

func kickBody(cid uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"cid":`), cid, 10), '}')
}

// answered counts one answer to hangUp.
func (h *hangups) answered(m *nats.Msg) {
	if m.Header.Get("Status") != "" {
		h.refused.Add(1)
		return
	}
	if reply, err := readKickReply(m.Data); err != nil || reply.Failed {
		h.refused.Add(1)
	}
}

// probe asks the server of this id to close connection 0, which does not exist. The server answers that it does not; without
// the right, or without such a server, nobody answers. The request reaches the system account, in which only servers and
// its administrators can answer.
func (h *hangups) probe(ctx context.Context, nc *nats.Conn, id string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if id == "" || !nc.IsConnected() {
		return nats.ErrDisconnected
	}
	m, err := nc.RequestWithContext(ctx, h.subjects.Kick(id), kickBody(0))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("nobody serves %s: the system account's KICK is not imported: %w", h.subjects.Kick("*"), err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", h.subjects.Kick("*"), errNoAnswer)
	case err != nil:
		return err
	}
	reply, err := readKickReply(m.Data)
	if err != nil {
		return fmt.Errorf("the answer is not a server's: %w", err)
	}
	if reply.ServerID != id || !reply.Failed {
		return errors.New("the answer is not this server's")
	}
	return nil
}

// errNoRightToAsk is why no server can be asked for its id.
var errNoRightToAsk = errors.New("verify_servers needs the system account's KICK, and this user may not use it")

// ask returns nil when a server answers under this id, nats.ErrNoResponders when none does, and else why it is not known.
func (h *hangups) ask(ctx context.Context, nc *nats.Conn, id string) error {
	if !h.allowed.Load() {
		return errNoRightToAsk
	}
	return h.probe(ctx, nc, id)
}

// look probes and takes the result over; it logs at start, at changes, and never more. sure is false when nobody answered, which a right
// and a lack of it have in common.
func (h *hangups) look(ctx context.Context, nc *nats.Conn, first bool, log *zap.Logger) (sure bool) {
	err := h.probe(ctx, nc, nc.ConnectedServerId())
	if ctx.Err() != nil || errors.Is(err, nats.ErrDisconnected) {
		return true // the next connection is looked at by itself
	}
	h.takeOver(err, first, log)
	return !errors.Is(err, errNoAnswer)
}

func (h *hangups) takeOver(err error, first bool, log *zap.Logger) {
	if h.allowed.Swap(err == nil) == (err == nil) && !first {
		return
	}
	if err == nil {
		log.Info("transient trouble hangs up: the server may be asked to close a connection", zap.String("hang_up", modeKick))
		return
	}
	log.Warn("transient trouble stays silent: this is safe only while the clients' connect timeout is no longer than the server's "+
		"authorization.timeout; give this user the system account's KICK", zap.String("hang_up", modeSilence), zap.Error(err))
}

// watch looks at the right after every reconnect, every probeEvery, and sooner while nobody answers, until ctx ends. A look was
// made before.
func (h *hangups) watch(ctx context.Context, nc *nats.Conn, log *zap.Logger) {
	connected := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(connected)
	unsure := probeSoon // after a look without an answer
	next := time.NewTimer(probeSoon)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-connected:
			unsure = probeSoon
		case <-next.C:
		}
		if h.look(ctx, nc, false, log) {
			unsure = probeSoon
			next.Reset(probeEvery)
			continue
		}
		next.Reset(unsure)
		unsure = min(2*unsure, probeEvery)
	}
}
