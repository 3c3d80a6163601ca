package policy

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/shared/monitor"
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

// Service is one replica of policy.
type Service struct {
	cfg      *Config
	deps     Deps
	subjects wire.Subjects
	store    *store
	shadow   *shadow
	registry *registry.Registry // nil for none
	files    []*watched
	refusals refusals
	watch    *monitor.Monitor // made by Run
}

// New returns a Service of a configuration that passed Check. It reads the files and does not connect yet.
func New(cfg *Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	subjects, err := wire.NewSubjects(cfg.NATS.SubjectPrefix)
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, deps: deps, subjects: subjects,
		store:    newStore(deps.Log, cfg.system(), cfg.LastGoodFile),
		shadow:   newShadow(deps.Log),
		refusals: newRefusals(),
	}
	return s, s.readFiles()
}

// readFiles reads every file for the first time. The rules file alone may be broken, if the last good one is there.
func (s *Service) readFiles() error {
	if s.cfg.PolicyFile != "" {
		file := rulesFile(s.cfg.PolicyFile, s.store)
		if err := file.first(); err != nil && !s.store.takeLastGood() {
			return err
		}
		s.files = append(s.files, file)
	} else {
		s.store.takeLastGood()
	}
	if s.cfg.ShadowFile != "" {
		file := s.shadow.file(s.cfg.ShadowFile)
		if err := file.first(); err != nil {
			return err
		}
		s.files = append(s.files, file)
	}
	if c := s.cfg.Registry; c != nil && c.File != "" {
		s.registry = registry.FromFile(c.Mode)
		file := &watched{file: c.File, what: "device registry", log: s.deps.Log, take: func(text []byte) error {
			return s.registry.Take(c.File, text)
		}}
		if err := file.first(); err != nil {
			return err
		}
		s.files = append(s.files, file)
	}
	return nil
}

// Run serves until ctx ends, then answers what it took on and returns nil. An error, as natsx.ErrConnectionLost, means that it can no longer serve.
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
	for _, file := range s.files {
		running.Go(func() { file.run(background) })
	}
	if err := s.runBuckets(ctx, background, conn.Conn, &running); err != nil {
		return err
	}
	if s.watch, err = s.newMonitor(conn); err != nil {
		return err
	}
	stopWatch, err := s.watch.Start(s.cfg.Monitor)
	if err != nil {
		return err
	}
	defer stopWatch()
	return s.serve(ctx, conn)
}

// serve registers the service, again whenever another policy is in force.
func (s *Service) serve(ctx context.Context, conn *natsx.Conn) error {
	return natsx.ServeChanging(ctx, conn, &natsx.Changing{
		Describe: s.service,
		Changed:  s.store.changed,
		Serving:  func() { s.deps.Log.Info("serving") },
		Stopping: s.watch.Drain,
	}, s.deps.Log)
}

// bucketsTime bounds how long a replica waits for what is in JetStream before it serves. Another replica has it already:
// until it is read a login is better off there.
const bucketsTime = 3 * time.Second

// runBuckets watches what is in JetStream, and returns when it was read once or ctx or bucketsTime ends.
func (s *Service) runBuckets(ctx, background context.Context, nc *nats.Conn, running *sync.WaitGroup) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, bucketsTime)
	defer cancel()
	var read []<-chan struct{}
	if c := s.cfg.PolicyKV; c != nil {
		source := &kvSource{KVConfig: *c, js: js, store: s.store, read: make(chan struct{})}
		running.Go(func() { source.run(background) })
		read = append(read, source.read)
	}
	if c := s.cfg.Registry; c != nil && c.Bucket != "" {
		bucket := registry.FromBucket(c.Mode, js, c.Bucket, s.deps.Log)
		s.registry = bucket.Registry
		running.Go(func() { bucket.Run(background) })
		read = append(read, bucket.Read())
	}
	for _, done := range read {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *Service) service() natsx.Service {
	source := string(s.cfg.PolicyFile)
	if c := s.cfg.PolicyKV; c != nil {
		source = "kv " + c.Bucket + "/" + c.Key
	}
	mode := "off"
	if c := s.cfg.Registry; c != nil {
		mode = string(c.Mode)
	}
	metadata := map[string]string{"config": s.cfg.hash(), "policy": source, "registry": mode, "policy_hash": "", "policy_generation": "0"}
	if p := s.store.current.Load(); p != nil {
		metadata["policy_hash"], metadata["policy_generation"] = p.Hash(), strconv.FormatUint(p.generation, 10)
	}
	return natsx.Service{
		Name:        wire.QueuePolicy,
		Version:     s.deps.Version,
		Description: "turns verified claims into a grant",
		Metadata:    metadata,
		Endpoints: []natsx.Endpoint{{
			Name:        "decide",
			Subject:     s.subjects.PolicyDecide(),
			Queue:       wire.QueuePolicy,
			MaxInFlight: s.cfg.MaxInFlight,
			Handle:      s.decide,
		}, {
			Name:        "explain",
			Subject:     s.subjects.PolicyExplain(),
			Queue:       wire.QueuePolicy,
			MaxInFlight: maxExplaining,
			Handle:      s.explain,
		}, natsx.ReadyEndpoint(s.subjects, wire.QueuePolicy, s.watch)},
		Stats: func(string) any { return s.stats() },
		Trace: s.deps.Trace,
	}
}

// Stats is what `nats micro stats policy` shows.
type Stats struct {
	// PolicyHash names the text in force; replicas that agree show the same. PolicyGeneration is the revision in the bucket
	// or, of a file, counts the texts that this replica took over since it started. Both are empty while there is none.
	PolicyHash       string `json:"policy_hash"`
	PolicyGeneration uint64 `json:"policy_generation"`
	Rules            int    `json:"rules"`
	// Refused counts refusals by reason.
	Refused map[string]int64 `json:"refused"`
	// Shadow is what the candidate would have changed; absent without one.
	Shadow *ShadowStats `json:"shadow,omitempty"`
}

func (s *Service) stats() Stats {
	out := Stats{Refused: s.refusals.copy(), Shadow: s.shadow.stats()}
	if policy := s.store.current.Load(); policy != nil {
		out.PolicyHash, out.PolicyGeneration, out.Rules = policy.Hash(), policy.generation, policy.Rules()
	}
	return out
}

// refusals counts by reason. Safe for concurrent use; counting takes no lock.
type refusals map[wire.Code]*atomic.Int64

func newRefusals() refusals {
	r := refusals{}
	for _, reason := range wire.Reasons() {
		r[reason.Code] = new(atomic.Int64)
	}
	return r
}

func (r refusals) count(c wire.Code) { r[c].Add(1) }

// copy has the reasons that occurred.
func (r refusals) copy() map[string]int64 {
	out := map[string]int64{}
	for code, n := range r {
		if n := n.Load(); n > 0 {
			out[code.String()] = n
		}
	}
	return out
}
