package callout

import (
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// newMonitor shows this replica. It is ready when it serves and a replica of each neighbour is ready too.
func (s *Service) newMonitor(conn *natsx.Conn) (*monitor.Monitor, error) {
	checks := append(conn.Checks(),
		monitor.Neighbour(conn.Conn, wire.QueueTokencheck, s.subjects.Ready(wire.QueueTokencheck)),
		monitor.Neighbour(conn.Conn, wire.QueuePolicy, s.subjects.Ready(wire.QueuePolicy)),
	)
	about := monitor.About{Service: wire.QueueCallout, Version: s.deps.Version, ConfigHash: s.cfg.hash()}
	return monitor.New(about, s.deps.Log, checks, append(s.collectors(), conn.Collector())...)
}
