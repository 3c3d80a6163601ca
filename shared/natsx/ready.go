package natsx

import (
	"context"
	"errors"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/wire"
)

// Checks hold while the connection to NATS is up, and while something is served on it.
func (c *Conn) Checks() []monitor.Check {
	return []monitor.Check{
		c.Connected("nats"),
		{Name: "serving", Do: func(context.Context) error {
			if !c.meter.serving() {
				return errors.New("not registered")
			}
			return nil
		}},
	}
}

// Connected holds while the connection to NATS is up.
func (c *Conn) Connected(name string) monitor.Check {
	return monitor.Check{Name: name, Do: func(context.Context) error {
		switch {
		case c.IsConnected():
			return nil
		case c.IsClosed():
			return errors.New("the connection closed for good")
		}
		return errors.New("not connected")
	}}
}

// endpointReady is the endpoint's name in every service.
const endpointReady = "ready"

// readyInFlight bounds the answers about readiness at once: they must not cost logins anything.
const readyInFlight = 4

// ReadyEndpoint answers, from every replica of a service, what /readyz answers over HTTP.
func ReadyEndpoint(subjects wire.Subjects, service string, m *monitor.Monitor) Endpoint {
	return Endpoint{
		Name: endpointReady, Subject: subjects.Ready(service), MaxInFlight: readyInFlight, MaxWaiting: readyInFlight,
		Handle: func(_ context.Context, r *Request) {
			_ = r.Respond(m.Ready().JSON()) // who asked asks again
		},
	}
}
