package callout

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

const (
	// maxServers bounds the servers that are remembered; anybody who may publish requests can make up keys.
	maxServers = 1024
	// askEvery and askBurst bound how often an unknown id is asked after.
	askEvery = 20 * time.Millisecond
	askBurst = 32
	// strangerFor is how long an id that did not answer is not asked after again.
	strangerFor = 5 * time.Second
	// strangersEvery and strangersBurst bound the log entries about servers that anybody can make up.
	strangersEvery = time.Second
	strangersBurst = 10
)

// servers are the nats-servers that sent requests which verified: which of them may, and what each does in a way that an
// operator should know of. Safe for concurrent use.
type servers struct {
	// ids are known by configuration; verify has the others asked, by ask: nil when a server of this system answers under that
	// id, nats.ErrNoResponders when none does. With neither every server is taken.
	ids      []string
	verify   bool
	ask      func(ctx context.Context, id string) error
	patience time.Duration
	log      *zap.Logger
	now      func() time.Time

	asking  singleflight.Group
	asks    *rate.Limiter
	entries *rate.Limiter

	mu   sync.Mutex // guards seen, held for one look
	seen map[string]*seenServer
}

// seenServer is what is remembered of one.
type seenServer struct {
	issuer string
	waits  waits
	// known says that it may ask; strangerUntil that it did not answer and is not asked after before.
	known         bool
	strangerUntil time.Time
}

func newServers(cfg *Config, log *zap.Logger, now func() time.Time, ask func(context.Context, string) error) *servers {
	return &servers{
		ids: cfg.ServerIDs, verify: cfg.VerifyServers, ask: ask, patience: cfg.ClientPatience, log: log, now: now,
		asks: rate.NewLimiter(rate.Every(askEvery), askBurst), entries: rate.NewLimiter(rate.Every(strangersEvery), strangersBurst),
		seen: map[string]*seenServer{},
	}
}

// admit takes note of a request that verified, and fails when its server is not known. It waits for a server that is asked,
// no longer than ctx; all requests of one server wait for one question, whose answer is kept whoever still waits.
func (s *servers) admit(ctx context.Context, req *authRequest) *wire.Error {
	known, stranger := s.note(req)
	switch {
	case known:
		return nil
	case stranger || !s.verify:
		return wire.Fail(wire.RequestServer, "", nil)
	}
	shared := context.WithoutCancel(ctx) // ask has an end of its own
	answer := s.asking.DoChan(req.ServerID, func() (any, error) { return s.lead(shared, req), nil })
	select {
	case a := <-answer:
		fail, _ := a.Val.(*wire.Error)
		return fail
	case <-ctx.Done():
		return wire.Fail(wire.OutOfTime, "while the server was asked for its id", ctx.Err())
	}
}

// lead asks a server for all who wait. Another may have asked since the one that leads looked.
func (s *servers) lead(ctx context.Context, req *authRequest) *wire.Error {
	switch known, stranger := s.found(req.ServerID); {
	case known:
		return nil
	case stranger:
		return wire.Fail(wire.RequestServer, "", nil)
	case !s.asks.Allow():
		return s.judge(req, errAskedTooOften)
	}
	return s.judge(req, s.ask(ctx, req.ServerID))
}

// errAskedTooOften keeps a server from being asked now.
var errAskedTooOften = errors.New("too many servers to ask")

// note remembers req's server and logs what is new about it.
func (s *servers) note(req *authRequest) (known, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server, old := s.seen[req.ServerID]
	if !old {
		server = &seenServer{known: s.knows(req.ServerID), issuer: strings.Clone(req.Issuer)}
		s.remember(req.ServerID, server)
		switch {
		case server.known && len(s.ids) > 0, s.verify:
		case len(s.ids) > 0:
			s.hint(zap.WarnLevel, "a server that is not known asks; add its id to server_ids if it is one of yours", req)
		default:
			s.hint(zap.InfoLevel, "a server asks for the first time; name it in server_ids to take no others", req)
		}
	}
	if server.issuer != req.Issuer {
		server.issuer = strings.Clone(req.Issuer)
		s.hint(zap.InfoLevel, "a server trusts another issuer now", req, zap.String("issuer_key", text(req.Issuer)))
	}
	if wait, settled := server.waits.see(req.Wait); settled {
		for _, problem := range Misfits(wait, s.patience) {
			s.log.Warn("times do not fit together: "+problem, about(req)...)
		}
	}
	return s.standing(server)
}

// found returns what is known of a server.
func (s *servers) found(id string) (known, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if server := s.seen[id]; server != nil {
		return s.standing(server)
	}
	return false, false
}

// standing says whether a server may ask, or did not answer a moment ago. s.mu is held.
func (s *servers) standing(server *seenServer) (known, stranger bool) {
	return server.known, s.now().Before(server.strangerUntil)
}

func (s *servers) knows(id string) bool {
	return len(s.ids) == 0 && !s.verify || slices.Contains(s.ids, id)
}

// remember makes room for one. s.mu is held.
func (s *servers) remember(id string, server *seenServer) {
	if len(s.seen) >= maxServers {
		s.forgetOne()
	}
	s.seen[strings.Clone(id)] = server // not with the message that it is a part of
}

// forgetOne forgets any that is not known, and a known one when there is no other: the map's order is random. Where everybody is known
// that says nothing. s.mu is held.
func (s *servers) forgetOne() {
	everybody := len(s.ids) == 0 && !s.verify
	var id string
	for other, server := range s.seen {
		if id = other; everybody || !server.known {
			break
		}
	}
	delete(s.seen, id)
}

// hint logs what may be made up, and then come in any number.
func (s *servers) hint(level zapcore.Level, message string, req *authRequest, more ...zap.Field) {
	if s.entries.Allow() {
		s.log.Log(level, message, append(about(req), more...)...)
	}
}

// judge takes over what came of asking req's server. That there is no such server is definite; what else went wrong is not.
func (s *servers) judge(req *authRequest, err error) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.seen[req.ServerID]
	if server == nil { // forgotten meanwhile
		server = &seenServer{issuer: strings.Clone(req.Issuer)}
		s.remember(req.ServerID, server)
	}
	switch {
	case err == nil:
		if !server.known {
			s.log.Info("a server asks for the first time, and answers under its id", about(req)...)
		}
		server.known = true
		return nil
	case errors.Is(err, nats.ErrNoResponders):
		if server.strangerUntil.IsZero() {
			s.hint(zap.WarnLevel, "a request comes from a server that does not answer under its id; it is refused", req)
		}
		server.strangerUntil = s.now().Add(strangerFor)
		return wire.Fail(wire.RequestServer, "", nil)
	}
	return wire.Fail(wire.Internal, "the server could not be asked for its id", err)
}

func about(req *authRequest) []zap.Field {
	return []zap.Field{zap.String(logx.ServerID, req.ServerID), zap.String(logx.ServerName, text(req.ServerName)), zap.Duration("waits", req.Wait)}
}
