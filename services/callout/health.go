package callout

import (
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// newMonitor shows this replica. It is ready when both connections are up, it serves, and a replica of each neighbour is ready too.
func (s *Service) newMonitor(conns connections) (*monitor.Monitor, error) {
	checks := append(conns.logins.Checks(),
		conns.aside.Connected("nats-aside"),
		monitor.Neighbour(conns.logins.Conn, wire.QueueTokencheck, s.subjects.Ready(wire.QueueTokencheck)),
		monitor.Neighbour(conns.logins.Conn, wire.QueuePolicy, s.subjects.Ready(wire.QueuePolicy)),
	)
	about := monitor.About{Service: wire.QueueCallout, Version: s.deps.Version, ConfigHash: s.cfg.hash()}
	return monitor.New(about, s.deps.Log, checks, append(s.collectors(), natsx.Collector(conns.logins, conns.aside))...)
}
