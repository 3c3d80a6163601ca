package natsx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Endpoint is one operation of a service.
type Endpoint struct {
	Name    string
	Subject string
	// Queue is the queue group; empty: every replica gets every request.
	Queue string
	// MaxInFlight bounds how many handlers run at once; how many really do follows what they experience. MaxWaiting
	// bounds how many requests wait for one; beyond it, and when its budget ends while it waits, a request is given up,
	// newest first served (DESIGN P4). In both a request of 6 KiB or more counts as several, for each full 6 KiB one more, so
	// that they bound memory too. 0 means DefaultMaxInFlight and DefaultMaxWaiting.
	MaxInFlight int
	MaxWaiting  int
	// Source names whoever a request comes from, for example an address: when requests have to wait, sources get equal shares.
	// It is asked once, before Handle and GiveUp, and only of those that are likely to wait; it may be asked of several at a time
	// and must not block. What it had to work out it may leave in the request's Kept. nil: all requests are of one source.
	Source func(*Request) string
	// AnyReply has answers sent to whatever subject a request names. Else that must be an inbox; requests that name another subject are
	// dropped and counted, because who may ask could have this service publish where he may not: nats-server lets it answer anywhere.
	AnyReply bool
	// Budget returns how long a request may take from its arrival; nil reads wire.HeaderBudget, with DefaultBudget when absent.
	Budget func(*Request) time.Duration
	// Handle does the work in a goroutine of its own; ctx ends with the budget and when Handle returns.
	Handle func(ctx context.Context, r *Request)
	// GiveUp is called in place of Handle for a request that was not taken on: wire.Overloaded or wire.OutOfTime. It
	// must not block. nil answers with the error.
	GiveUp func(r *Request, e *wire.Error)
}

// Bounds of an endpoint that names none.
const (
	DefaultMaxInFlight = 4096
	DefaultMaxWaiting  = 16384
	// DefaultBudget of an internal request that names none.
	DefaultBudget = 1500 * time.Millisecond
	// maxBudget bounds what a header may ask for.
	maxBudget = time.Minute
)

// Bounds of what nats.go holds between the socket and the admission, which takes it in at once.
const (
	pendingMessages = 1 << 16
	pendingBytes    = 32 << 20
)

// Service describes a micro service.
type Service struct {
	Name        string
	Version     string // bare semantic version
	Description string
	Metadata    map[string]string
	Endpoints   []Endpoint
	// Trace makes a span of every request that is worked on; nil is off.
	Trace *trace.Tracer
	// Stats returns the service's own figures for `nats micro stats`, where they are at data.service beside data.load;
	// safe for concurrent use. It must not wait for a request: micro holds a lock meanwhile. Optional.
	Stats func(endpoint string) any
}

// Server is a running Service.
type Server struct {
	conn      *Conn
	micro     micro.Service
	endpoints map[string]*endpoint
}

// Serve registers s on c and returns once its subscriptions are with the server or the connection is down.
func Serve(c *Conn, s Service, log *zap.Logger) (*Server, error) {
	srv := &Server{conn: c, endpoints: make(map[string]*endpoint, len(s.Endpoints))}
	for i := range s.Endpoints {
		e := newEndpoint(c, &s.Endpoints[i], log)
		if e.name != endpointReady { // a monitor's question is nobody's login
			e.trace, e.spanName = s.Trace, s.Name+" "+e.name
		}
		srv.endpoints[e.name] = e
	}
	var err error
	srv.micro, err = micro.AddService(c.Conn, micro.Config{
		Name:        s.Name,
		Version:     s.Version,
		Description: s.Description,
		Metadata:    s.Metadata,
		StatsHandler: func(e *micro.Endpoint) any {
			own := Statistics{Load: srv.endpoints[e.Name].load()}
			if s.Stats != nil && e.Name != endpointReady {
				own.Service = s.Stats(e.Name)
			}
			return own
		},
	})
	if err != nil {
		return nil, fmt.Errorf("micro service %s: %w", s.Name, err)
	}
	for _, e := range s.Endpoints {
		queue := micro.WithEndpointQueueGroup(e.Queue)
		if e.Queue == "" {
			queue = micro.WithEndpointQueueGroupDisabled()
		}
		if err := srv.micro.AddEndpoint(e.Name, srv.endpoints[e.Name], micro.WithEndpointSubject(e.Subject), queue,
			micro.WithEndpointPendingLimits(pendingMessages, pendingBytes)); err != nil {
			return nil, errors.Join(fmt.Errorf("endpoint %s on %s: %w", e.Name, e.Subject, err), srv.micro.Stop())
		}
	}
	for _, e := range srv.endpoints {
		c.meter.serves(e)
	}
	if c.IsConnected() {
		if err := c.FlushTimeout(flushTimeout); err != nil {
			log.Warn("the subscriptions are not with the nats server yet; they will be after the next connect", zap.Error(err))
		}
	}
	return srv, nil
}

const flushTimeout = 5 * time.Second

// Drain takes no new requests, waits until those taken on are answered or ctx ends, and stops the micro service. It is over for
// good also when it fails: what is still worked on then ends by itself, and is counted no more. The connection stays open: its
// owner closes it. Not for concurrent use.
func (s *Server) Drain(ctx context.Context) error {
	for _, e := range s.endpoints {
		e.dropped() // while it can be seen
	}
	failed := s.micro.Stop()
	if errors.Is(failed, nats.ErrConnectionClosed) {
		failed = nil
	}
	failed = errors.Join(failed, s.takeInRest(ctx))
	for _, e := range s.endpoints {
		if err := e.wait(ctx); err != nil {
			failed = errors.Join(failed, err)
			e.crew.dismiss()
		}
		s.conn.meter.drained(e)
	}
	if failed != nil {
		return fmt.Errorf("drain: %w", failed)
	}
	return s.flush(ctx)
}

// takeInRest returns when every request that the server sent before it stopped sending has been taken in: after a round
// trip they are all in this process, and after the barrier they are with their endpoint.
func (s *Server) takeInRest(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	if !s.conn.IsConnected() {
		return nil
	}
	handed := make(chan struct{})
	if err := s.conn.Barrier(func() { close(handed) }); err != nil {
		return err
	}
	select {
	case <-handed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush makes one round trip. Without a connection, or when it breaks meanwhile, there is nobody to wait for.
func (s *Server) flush(ctx context.Context) error {
	if !s.conn.IsConnected() {
		return nil
	}
	if err := s.conn.FlushWithContext(ctx); err != nil && s.conn.IsConnected() {
		return err
	}
	return nil
}
