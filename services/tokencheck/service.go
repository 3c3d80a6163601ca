package tokencheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Deps are the collaborators of a Service.
type Deps struct {
	Log     *zap.Logger
	Version string        // bare semantic version
	Trace   *trace.Tracer // nil for off
	// NATSOptions are added to the connection's, for connections inside one process.
	NATSOptions []nats.Option
	// Now is the clock, nil for the system's.
	Now func() time.Time
}

// Service is one replica of tokencheck.
type Service struct {
	cfg      *Config
	deps     Deps
	subjects wire.Subjects
	verifier *verifier
	tally    tally
	changed  chan struct{} // holds one value after other keys came in force, which nobody has taken notice of
	handOns  *handOns      // made by Run
}

// New returns a Service of a configuration that passed Check. It reads the keys of an earlier run, and does not connect or
// fetch yet.
func New(cfg *Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	subjects, err := wire.NewSubjects(cfg.NATS.SubjectPrefix)
	if err != nil {
		return nil, err
	}
	v := &verifier{issuers: make(map[string]*issuer, len(cfg.Issuers)), now: deps.Now}
	for i := range cfg.Issuers {
		iss, err := newIssuer(&cfg.Issuers[i], deps.Now, deps.Log)
		if err != nil {
			return nil, fmt.Errorf("issuers[%d]: %w", i, err)
		}
		v.add(iss)
	}
	s := &Service{
		cfg: cfg, deps: deps, subjects: subjects, verifier: v, tally: tally{counts: map[outcome]int64{}}, changed: make(chan struct{}, 1),
	}
	for _, iss := range v.issuers {
		iss.keys.changed = append(iss.keys.changed, s.keysChanged)
		s.restore(iss)
	}
	return s, nil
}

// restore puts an issuer's keys of an earlier run in force. That it cannot is no reason not to serve.
func (s *Service) restore(iss *issuer) {
	if s.cfg.LastGoodDirectory == "" {
		return
	}
	var err error
	if iss.keys.file, err = newKeyFile(string(s.cfg.LastGoodDirectory), iss.Issuer); err != nil {
		s.deps.Log.Error("last_good_directory cannot be used; keys do not survive a restart", zap.String("issuer", iss.Issuer), zap.Error(err))
		return
	}
	iss.keys.restore()
}

// Run serves until ctx ends, then answers what it took on and returns nil. An error, as natsx.ErrConnectionLost, means that it can no longer serve.
// An issuer that cannot be reached is no such error: its tokens are transient trouble until it can.
func (s *Service) Run(ctx context.Context) error {
	conn, err := natsx.Connect(s.cfg.NATS, wire.QueueTokencheck, s.deps.Log, s.deps.NATSOptions...)
	if err != nil {
		return err
	}
	defer conn.Close()
	s.handOns = newHandOns(conn, s.subjects, s.deps.Log)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, iss := range s.verifier.issuers {
		running.Go(func() { iss.keys.run(background) })
	}
	watch, err := s.newMonitor(conn)
	if err != nil {
		return err
	}
	stopWatch, err := watch.Start(s.cfg.Monitor)
	if err != nil {
		return err
	}
	defer stopWatch()
	s.waitForKeys(ctx)
	return s.serve(ctx, conn, watch)
}

// check answers one request, or hands it on.
func (s *Service) check(ctx context.Context, r *natsx.Request) {
	q, reply, fail := s.judge(ctx, r.Data)
	if fail == nil && q.Client != nil && s.handOns.handOn(ctx, r, reply, q.Client) {
		return
	}
	s.answer(r, reply, fail)
}

// answer sends the reply, or the failure.
func (s *Service) answer(r *natsx.Request, reply []byte, fail *wire.Error) {
	var err error
	if fail != nil {
		if fail.Code == wire.Internal {
			s.deps.Log.Error("not answered", zap.String("subject", r.Subject), zap.String("request_id", r.ID), zap.Error(fail))
		}
		err = r.Fail(fail)
	} else {
		err = r.Respond(reply)
	}
	if err != nil {
		s.deps.Log.Warn("the answer could not be sent", zap.String("request_id", r.ID), zap.Error(err))
	}
}

// judge answers a CheckRequest, q, with a Verified, and counts what became of the token.
func (s *Service) judge(ctx context.Context, data []byte) (q *wire.CheckRequest, reply []byte, fail *wire.Error) {
	var issuer string
	defer func() {
		if p := recover(); p != nil {
			q, reply, fail = nil, nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
		s.tally.count(issuer, fail)
	}()
	q, err := wire.Decode[wire.CheckRequest](data, wire.MaxCheckRequestBytes)
	if err != nil {
		return nil, nil, wire.Fail(wire.BadRequest, "check request", err)
	}
	verdict, fail := s.verifier.judge(ctx, q.Token, q.CertificateSHA256)
	if fail != nil {
		return nil, nil, fail
	}
	issuer = verdict.about.issuer.Issuer
	return q, verdict.reply, nil
}

// configHash names what the issuers' configuration says, so that replicas can be compared.
func (s *Service) configHash() string {
	text, err := json.Marshal(s.cfg.Issuers)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Stats is what `nats micro stats tokencheck` shows.
type Stats struct {
	Issuers map[string]IssuerStats `json:"issuers"`
	// Refused counts refusals and troubles by reason.
	Refused map[string]int64 `json:"refused"`
	// HandedOn counts good tokens that were handed on to policy, a few that nats-server then refused included; the others went back
	// to the callout.
	HandedOn int64 `json:"handed_on"`
}

func (s *Service) stats() Stats {
	out := Stats{Issuers: make(map[string]IssuerStats, len(s.verifier.issuers)), Refused: s.tally.refused(), HandedOn: s.handOns.count.Load()}
	for name, iss := range s.verifier.issuers {
		out.Issuers[name] = iss.stats()
	}
	return out
}
