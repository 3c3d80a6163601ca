// Package natsx is how the three services use NATS: one connection that never gives up while it makes sense, endpoints
// on nats.go/micro that never wait for one another, and calls with a budget and a second attempt. It refuses to know
// what the messages mean.
package natsx

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// Config is the nats part of every service's configuration. One way of authentication at most.
type Config struct {
	URLs         []string    `yaml:"urls"`
	User         string      `yaml:"user"`
	PasswordFile config.Path `yaml:"password_file"`
	NkeySeedFile config.Path `yaml:"nkey_seed_file"`
	CredsFile    config.Path `yaml:"creds_file"`
	TLS          TLS         `yaml:"tls"`
	// SubjectPrefix is wire.Subjects' prefix. Default "auth".
	SubjectPrefix string `yaml:"subject_prefix"`
}

// TLS of the connection to NATS. The zero value uses TLS when the URL says so, with the system's roots.
type TLS struct {
	CAFile   config.Path `yaml:"ca_file"`
	CertFile config.Path `yaml:"cert_file"`
	KeyFile  config.Path `yaml:"key_file"`
}

// Check reports what is wrong, below key ("nats").
func (c *Config) Check(key string, r *config.Report) {}

// Conn is a connection with the project's options: unlimited reconnects with jitter, retry on failed first connect, an
// inbox prefix of its own outside _INBOX (DESIGN P7).
type Conn struct {
	*nats.Conn
}

// Connect returns at once; the connection may come up later. extra is for in-process connections.
func Connect(cfg Config, name string, log *zap.Logger, extra ...nats.Option) (*Conn, error) {
	return nil, errors.New("natsx: not implemented")
}

// Lost is closed when the connection closed for good without being asked to; the process must then end non-zero.
func (c *Conn) Lost() <-chan struct{} { return nil }

// Request is one message for an endpoint.
type Request struct {
	ID       string // wire.HeaderRequestID, a new one when the requester sent none
	Subject  string
	Data     []byte // valid until Respond or Fail returns
	Header   micro.Headers
	Received time.Time // arrival in this process
	// contains unexported fields
}

// Respond sends the success reply. At most one of Respond and Fail has an effect.
func (r *Request) Respond(data []byte) error { return nil }

// Fail sends e as the error reply, with micro's error headers, and counts it in the endpoint's statistics.
func (r *Request) Fail(e *wire.Error) error { return nil }

// Endpoint is one operation of a service.
type Endpoint struct {
	Name    string
	Subject string
	Queue   string
	// MaxInFlight bounds how many handlers run at once, MaxWaiting how many requests wait for one; beyond it, and when
	// its budget ends while it waits, a request is given up, newest first served (DESIGN P4).
	MaxInFlight int
	MaxWaiting  int
	// Budget returns how long a request may take from its arrival; nil reads wire.HeaderBudget, with DefaultBudget when absent.
	Budget func(*Request) time.Duration
	// Handle does the work in a goroutine of its own; ctx ends with the budget.
	Handle func(ctx context.Context, r *Request)
	// GiveUp is called in place of Handle for a request that was not taken on: wire.Overloaded or wire.OutOfTime. It
	// must not block. nil answers with the error.
	GiveUp func(r *Request, e *wire.Error)
}

// DefaultBudget of an internal request that names none.
const DefaultBudget = 1500 * time.Millisecond

// Service describes a micro service.
type Service struct {
	Name        string
	Version     string // bare semantic version
	Description string
	Metadata    map[string]string
	Endpoints   []Endpoint
	// Stats returns the service's own figures for `nats micro stats`; safe for concurrent use. Optional.
	Stats func(endpoint string) any
}

// Server is a running Service.
type Server struct{}

// Serve registers s on c and returns once its subscriptions are with the server or the connection is down.
func Serve(c *Conn, s Service, log *zap.Logger) (*Server, error) {
	return nil, errors.New("natsx: not implemented")
}

// Drain takes no new requests, waits until those taken on are answered or ctx ends, and stops the micro service. The
// connection stays open: its owner closes it.
func (s *Server) Drain(ctx context.Context) error { return nil }

// Caller sends internal requests.
type Caller struct{}

// CallerOptions tune one neighbour.
type CallerOptions struct {
	// Unavailable is the code for "nobody answered", for example wire.TokencheckUnavailable.
	Unavailable wire.Code
	// SecondAttempt is the share of the remaining budget after which the request is sent once more, to whichever replica
	// takes it; 0 means 0.4.
	SecondAttempt float64
	MaxReplyBytes int
}

// NewCaller returns a Caller over c. Safe for concurrent use.
func NewCaller(c *Conn, o CallerOptions) (*Caller, error) {
	return nil, errors.New("natsx: not implemented")
}

// Call sends data to subject and returns the success reply. ctx must have a deadline; what is left of it, less a small
// shave, goes along as wire.HeaderBudget, and id as wire.HeaderRequestID. Every error is a *wire.Error: the peer's own
// when it answered with one, else o.Unavailable, wire.OutOfTime or wire.BadReply. No responders is tried again, and a
// second attempt made, inside the budget.
func (c *Caller) Call(ctx context.Context, subject, id string, data []byte) ([]byte, error) {
	return nil, errors.New("natsx: not implemented")
}
