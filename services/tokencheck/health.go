package tokencheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// newMonitor shows this replica. It is ready when it serves and has keys.
func (s *Service) newMonitor(conn *natsx.Conn) (*monitor.Monitor, error) {
	checks := append(conn.Checks(), monitor.Check{Name: "keys", Do: s.checkKeys})
	about := monitor.About{Service: wire.QueueTokencheck, Version: s.deps.Version, ConfigHash: s.configHash()}
	return monitor.New(about, s.deps.Log, checks, monitor.Families{Metrics: Metrics(), Values: s.collect}, natsx.Collector(conn))
}

// checkKeys holds while the tokens of at least one issuer can be judged: a provider that is down is no reason to keep the
// devices of another out.
func (s *Service) checkKeys(context.Context) error {
	var missing []string
	for name, i := range s.verifier.issuers {
		switch set := i.keys.current.Load(); {
		case set == nil:
			missing = append(missing, name+": no keys yet")
		case i.keys.stale():
			missing = append(missing, fmt.Sprintf("%s: keys are older than %s", name, i.StaleLimit))
		default:
			return nil
		}
	}
	slices.Sort(missing)
	return errors.New(strings.Join(missing, ", "))
}
