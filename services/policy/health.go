package policy

import (
	"context"
	"errors"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// newMonitor shows this replica. It is ready when it serves and has a policy, and the device registry if there is one.
func (s *Service) newMonitor(conn *natsx.Conn) (*monitor.Monitor, error) {
	checks := append(conn.Checks(), monitor.Check{Name: "policy", Do: func(context.Context) error {
		if s.store.current.Load() == nil {
			return errors.New("none is in force yet")
		}
		return nil
	}})
	if s.registry != nil {
		checks = append(checks, monitor.Check{Name: "registry", Do: func(context.Context) error {
			if _, fail := s.registry.Lookup(registry.Identity{}); fail != nil {
				return fail
			}
			return nil
		}})
	}
	about := monitor.About{Service: wire.QueuePolicy, Version: s.deps.Version, ConfigHash: s.cfg.hash()}
	return monitor.New(about, s.deps.Log, checks, monitor.Families{Metrics: Metrics(), Values: s.collect}, natsx.Collector(conn))
}
