package callout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

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
	// NATSOptions are added to those of both connections, for connections inside one process.
	NATSOptions []nats.Option
	// Now is the clock, nil for the system's.
	Now func() time.Time
	// Hangup has the seed files read again at once; nil leaves that to the regular look at them.
	Hangup <-chan os.Signal
}

// Service is one replica of the callout.
type Service struct {
	cfg      *Config
	deps     Deps
	subjects wire.Subjects
	opener   *opener
	minter   *minter
	recorder *recorder
	witness  *witness // nil when decisions are not published
	hangups  *hangups
	keyring  *keyring
}

// New returns a Service of a configuration that passed Check. It reads the seeds and does not connect yet.
func New(cfg *Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	subjects, err := wire.NewSubjects(cfg.NATS.SubjectPrefix)
	if err != nil {
		return nil, err
	}
	ring, err := newKeyring(cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	var publish *publisher
	if cfg.PublishDecisions == nil || *cfg.PublishDecisions {
		publish = newPublisher(subjects, deps.Version)
	}
	var watch *witness
	if publish != nil {
		watch = newWitness(publish, deps.Log)
	}
	return &Service{
		cfg:      cfg,
		deps:     deps,
		subjects: subjects,
		opener:   &opener{keys: ring.keys, leeway: cfg.ClockLeeway},
		minter: &minter{
			maxSession: cfg.MaxSession,
			spread:     cfg.SessionSpread,
			maxUserJWT: cfg.MaxUserJWTBytes,
			fence:      newFence(subjects, strings.TrimSuffix(natsx.InboxPrefix(""), ".")),
			random:     randomBelow,
		},
		recorder: newRecorder(deps.Log, publish, watch),
		witness:  watch,
		hangups:  &hangups{subjects: subjects},
		keyring:  ring,
	}, nil
}

func randomBelow(limit time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(limit))) //nolint:gosec // spreads load, guards nothing
}

// Run serves until ctx ends, then answers what it took on and returns nil. An error, as natsx.ErrConnectionLost, means that it can no longer serve;
// what it took on is answered even then, unless the connection for that is the one that is lost.
func (s *Service) Run(ctx context.Context) error {
	conns, err := s.connect()
	if err != nil {
		return err
	}
	defer conns.close()
	watch, err := s.newMonitor(conns)
	if err != nil {
		return err
	}
	stop, err := watch.Start(s.cfg.Monitor)
	if err != nil {
		return err
	}
	defer stop()
	switch err := conns.waitConnected(ctx); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	if err := s.startHangups(ctx, conns.aside); err != nil {
		return err
	}
	handler, err := s.newHandler(conns)
	if err != nil {
		return err
	}
	return s.serve(ctx, conns, handler, watch)
}

// startHangups subscribes to the answers of servers that were asked to close a connection, and looks at the right to ask
// for the first time.
func (s *Service) startHangups(ctx context.Context, conn *natsx.Conn) error {
	s.hangups.conn = conn.Conn
	s.hangups.reply = conn.NewRespInbox()
	if _, err := hear(conn, s.hangups.reply, "", s.hangups.answered); err != nil {
		return fmt.Errorf("subscribe to the answers of hang-ups: %w", err)
	}
	s.hangups.look(ctx, conn.Conn, true, s.deps.Log)
	return nil
}

func (s *Service) newHandler(conns connections) (*handler, error) {
	remote, err := newRemote(conns.logins, s.subjects)
	if err != nil {
		return nil, err
	}
	return &handler{
		opener:     s.opener,
		minter:     s.minter,
		neighbours: remote,
		budget:     s.budget(),
		hangups:    s.hangups,
		servers: newServers(s.cfg, s.deps.Log, s.deps.Now, func(ctx context.Context, id string) error {
			return s.hangups.ask(ctx, conns.aside.Conn, id)
		}),
		account:   s.cfg.Account,
		accounts:  append([]string{s.cfg.Account}, s.cfg.AllowedAccounts...),
		maxAnswer: conns.logins.MaxPayload,
		now:       s.deps.Now,
		recorder:  s.recorder,
	}, nil
}

func (s *Service) budget() budget {
	return budget{patience: s.cfg.ClientPatience, maximum: s.cfg.MaxBudget}
}

// serve registers the service and keeps it until ctx ends or a connection is lost.
func (s *Service) serve(ctx context.Context, conns connections, h *handler, watch *monitor.Monitor) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	giveUps := newGiveUps(h.giveUp, h.giveUpUnread)
	giving, stopGiving := context.WithCancel(background)
	var gone sync.WaitGroup
	gone.Go(func() { giveUps.run(giving) })
	defer gone.Wait() // before what publishes its records ends
	defer stopGiving()
	if p := s.recorder.publish; p != nil {
		running.Go(func() { p.run(background, conns.aside, s.deps.Log) })
		running.Go(func() {
			if err := s.witness.run(background, conns.aside, s.subjects); err != nil {
				s.deps.Log.Warn("nats-server's own view of failed logins is not counted", zap.Error(err))
			}
		})
	}
	running.Go(func() { s.hangups.watch(background, conns.aside.Conn, s.deps.Log) })
	running.Go(func() { s.keyring.run(background, s.deps.Hangup) })

	server, err := natsx.Serve(conns.logins, natsx.Service{
		Name:        wire.QueueCallout,
		Version:     s.deps.Version,
		Description: "answers nats-server's authorization requests",
		Metadata:    s.metadata(),
		Endpoints:   []natsx.Endpoint{s.endpoint(h, giveUps), natsx.ReadyEndpoint(s.subjects, wire.QueueCallout, watch)},
		Stats:       func(string) any { return s.stats() },
		Trace:       s.deps.Trace,
	}, s.deps.Log)
	if err != nil {
		return err
	}
	issuers, xkeys := s.keyring.keys().names()
	s.deps.Log.Info("serving", zap.Strings("issuer_keys", issuers), zap.Bool("sealed", len(xkeys) > 0),
		zap.String("hang_up", s.hangups.mode()), zap.Duration("budget", s.budget().ceiling()))
	var lost error
	select {
	case <-conns.logins.Lost():
		return natsx.ErrConnectionLost
	case <-conns.aside.Lost():
		lost = natsx.ErrConnectionLost // and what was taken on can still be answered
	case <-ctx.Done():
	}
	watch.Drain()
	drain, cancel := context.WithTimeout(background, s.budget().ceiling()+time.Second)
	defer cancel()
	return errors.Join(lost, server.Drain(drain))
}

func (s *Service) endpoint(h *handler, g *giveUps) natsx.Endpoint {
	ceiling := s.budget().ceiling()
	return natsx.Endpoint{
		Name:        "auth",
		Subject:     wire.SubjectUserAuth,
		Queue:       wire.QueueCallout,
		AnyReply:    true, // nats-server's own, and only a server's signature gets that far
		MaxInFlight: s.cfg.MaxInFlight,
		MaxWaiting:  s.cfg.MaxWaiting,
		Budget:      func(*natsx.Request) time.Duration { return ceiling },
		Source:      s.source,
		Handle:      func(ctx context.Context, r *natsx.Request) { h.handle(ctx, messageOf(r)) },
		GiveUp:      func(r *natsx.Request, fail *wire.Error) { g.add(messageOf(r), fail) },
	}
}

// source opens a request that is likely to wait. What came out is kept in place of what came in.
func (s *Service) source(r *natsx.Request) string {
	opened := s.opener.unseal(r.Data, r.Header.Get(headerServerXKey))
	r.Kept, r.Data = opened, nil
	return opened.source()
}

// metadata is what `nats micro info callout` shows; replicas must agree in it. It is of the start; Stats has the keys of now.
func (s *Service) metadata() map[string]string {
	issuers, xkeys := s.keyring.keys().names()
	return map[string]string{
		"config":  s.cfg.hash(),
		"issuer":  issuers[0],
		"sealed":  sealedText(len(xkeys) > 0),
		"hang_up": s.hangups.mode(),
	}
}

func sealedText(sealed bool) string {
	if sealed {
		return "yes"
	}
	return "no"
}

// Stats is what `nats micro stats callout` shows of the auth endpoint, counted since the start.
type Stats struct {
	// HangUp is kick or silence: what is in force now.
	HangUp string `json:"hang_up"`
	// IssuerKeys and XKeys are the public keys in force.
	IssuerKeys []string `json:"issuer_keys"`
	XKeys      []string `json:"xkeys,omitempty"`
	// HangUpsAsked counts connections that a server was asked to close; of these HangUpsRefused were gone already.
	HangUpsAsked   int64 `json:"hang_ups_asked"`
	HangUpsRefused int64 `json:"hang_ups_refused"`
	// Outcomes counts requests by outcome, Reasons those not admitted by the reason's name, unknown for a code of a later release.
	Outcomes map[string]int64 `json:"outcomes"`
	Reasons  map[string]int64 `json:"reasons"`
	// Published counts decision records that were published, Unpublished those that could not be.
	Published   int64 `json:"published"`
	Unpublished int64 `json:"unpublished"`
}

func (s *Service) stats() Stats {
	outcomes, reasons := s.recorder.counts()
	published, unpublished := s.recorder.publish.counts()
	issuers, xkeys := s.keyring.keys().names()
	return Stats{
		IssuerKeys:     issuers,
		XKeys:          xkeys,
		Published:      published,
		Unpublished:    unpublished,
		HangUp:         s.hangups.mode(),
		HangUpsAsked:   s.hangups.asked.Load(),
		HangUpsRefused: s.hangups.refused.Load(),
		Outcomes:       outcomes,
		Reasons:        reasons,
	}
}
