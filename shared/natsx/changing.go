package natsx

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// ErrConnectionLost says that the connection to NATS closed for good without being asked to. Whoever meets it can no longer
// serve.
var ErrConnectionLost = errors.New("the connection to NATS closed for good")

// drainTime bounds the end of a registration; it is longer than the budget of any login.
const drainTime = 10 * time.Second

// Changing is a Service whose metadata change while it serves. All members are required.
type Changing struct {
	// Describe returns the service as it is now.
	Describe func() Service
	// Changed holds a value when the metadata have changed since they were described. One that is there when the service is
	// about to be described is taken out.
	Changed <-chan struct{}
	// Serving is called when the service is registered for the first time.
	Serving func()
	// Stopping is called when ctx has ended, before the last drain.
	Stopping func()
}

// ServeChanging serves s on c until ctx ends, then answers what it took on and returns nil. It registers s again whenever the
// metadata have changed, because micro's cannot: both are registered until the earlier one has answered what it took on,
// so no request is lost. It fails when the first registration does, with ErrConnectionLost, and when the last drain does.
func ServeChanging(ctx context.Context, c *Conn, s *Changing, log *zap.Logger) error {
	server, err := s.register(c, log)
	if err != nil {
		return err
	}
	s.Serving()
	for {
		select {
		case <-c.Lost():
			return ErrConnectionLost
		case <-ctx.Done():
			s.Stopping()
			return server.drain(ctx)
		case <-s.Changed:
			next, err := Serve(c, s.Describe(), log)
			if err != nil {
				log.Warn("micro's metadata are out of date: the service could not be registered again", zap.Error(err))
				continue
			}
			if err := server.drain(ctx); err != nil {
				log.Warn("the registration before did not end in time", zap.Error(err))
			}
			server = next
		}
	}
}

func (s *Changing) register(c *Conn, log *zap.Logger) (*Server, error) {
	select {
	case <-s.Changed: // this registration says so
	default:
	}
	return Serve(c, s.Describe(), log)
}

// drain drains for at most drainTime, whether ctx has ended or not.
func (s *Server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return s.Drain(ctx)
}
