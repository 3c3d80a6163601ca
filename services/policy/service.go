package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// ErrConnectionLost is returned by Run when the connection to NATS closed for good.
var ErrConnectionLost = errors.New("the connection to NATS closed for good")

// drainTime bounds the end of a replica; it is longer than any budget.
const drainTime = 10 * time.Second

// Deps are the collaborators of a Service.
type Deps struct {
	Log     *zap.Logger
	Version string // bare semantic version
	// NATSOptions are added to the connection's, for connections inside one process.
	NATSOptions []nats.Option
}

// Service is one replica of policy.
type Service struct {
	cfg      *Config
	deps     Deps
	subjects wire.Subjects
	source   *source
	refusals refusals
}

// New returns a Service of a configuration that passed Check. It reads the rules and does not connect yet.
func New(cfg *Config, deps Deps) (*Service, error) {
	subjects, err := wire.NewSubjects(cfg.NATS.SubjectPrefix)
	if err != nil {
		return nil, err
	}
	source, err := newSource(cfg.PolicyFile, deps.Log)
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, deps: deps, subjects: subjects, source: source, refusals: refusals{counts: map[string]int64{}}}, nil
}

// Run serves until ctx ends, then answers what it took on and returns nil. An error means that it can no longer serve.
func (s *Service) Run(ctx context.Context) error {
	conn, err := natsx.Connect(s.cfg.NATS, wire.QueuePolicy, s.deps.Log, s.deps.NATSOptions...)
	if err != nil {
		return err
	}
	defer conn.Close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { s.source.run(background) })

	server, err := natsx.Serve(conn, natsx.Service{
		Name:        wire.QueuePolicy,
		Version:     s.deps.Version,
		Description: "turns verified claims into a grant",
		Metadata:    map[string]string{"policy_file": string(s.cfg.PolicyFile)},
		Endpoints: []natsx.Endpoint{{
			Name:        "decide",
			Subject:     s.subjects.PolicyDecide(),
			Queue:       wire.QueuePolicy,
			MaxInFlight: s.cfg.MaxInFlight,
			Handle:      s.decide,
		}},
		Stats: func(string) any { return s.stats() },
	}, s.deps.Log)
	if err != nil {
		return err
	}
	s.deps.Log.Info("serving")
	select {
	case <-conn.Lost():
		return ErrConnectionLost
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(background, drainTime)
	defer cancel()
	return server.Drain(drain)
}

// decide answers one request.
func (s *Service) decide(_ context.Context, r *natsx.Request) {
	reply, fail := s.judge(r.Data)
	var err error
	if fail != nil {
		s.refusals.count(fail.Code)
		if fail.Cause != nil {
			s.deps.Log.Warn("decide", zap.String("request_id", r.ID), zap.Error(fail))
		}
		err = r.Fail(fail)
	} else {
		err = r.Respond(reply)
	}
	if err != nil {
		s.deps.Log.Warn("the answer could not be sent", zap.String("request_id", r.ID), zap.Error(err))
	}
}

func (s *Service) judge(data []byte) (reply []byte, fail *wire.Error) {
	defer func() {
		if p := recover(); p != nil {
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v", p))
		}
	}()
	q, err := wire.Decode[wire.DecideRequest](data, wire.MaxDecideRequestBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "decide request", err)
	}
	policy := s.source.current.Load()
	grant, fail := policy.Decide(q, rules.Context{Now: time.Now()})
	if fail != nil {
		return nil, fail
	}
	grant.PolicyGeneration, grant.PolicyHash = policy.generation, policy.Hash()
	if reply, err = wire.Encode(grant); err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	if len(reply) > wire.MaxGrantBytes {
		return nil, wire.Fail(wire.GrantTooLarge, "", nil)
	}
	return reply, nil
}

// Stats is what `nats micro stats policy` shows.
type Stats struct {
	// PolicyHash names the text in force; replicas that agree show the same. PolicyGeneration counts the texts that this
	// replica took over since it started.
	PolicyHash       string `json:"policy_hash"`
	PolicyGeneration uint64 `json:"policy_generation"`
	Rules            int    `json:"rules"`
	// Refused counts refusals by reason.
	Refused map[string]int64 `json:"refused"`
}

func (s *Service) stats() Stats {
	policy := s.source.current.Load()
	return Stats{PolicyHash: policy.Hash(), PolicyGeneration: policy.generation, Rules: policy.Rules(), Refused: s.refusals.copy()}
}

// refusals counts by reason. Safe for concurrent use.
type refusals struct {
	mu     sync.Mutex // guards counts, held for one increment or one copy
	counts map[string]int64
}

func (r *refusals) count(c wire.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[c.String()]++
}

func (r *refusals) copy() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]int64, len(r.counts))
	for k, v := range r.counts {
		out[k] = v
	}
	return out
}
