package tokencheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/monitor"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// firstKeys bounds the wait for every issuer's first keys. Others serve meanwhile: a replica that joins them without keys
// would take logins that it can only make wait.
const firstKeys = 2 * time.Second

// waitForKeys returns when each issuer has keys or could not be asked for them.
func (s *Service) waitForKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstKeys)
	defer cancel()
	for _, iss := range s.verifier.issuers {
		if iss.keys.inForce() != nil {
			continue
		}
		select {
		case <-iss.keys.tried:
		case <-ctx.Done():
			return
		}
	}
}

// keysChanged takes note that micro's metadata are out of date.
func (s *Service) keysChanged() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// serve registers the service, again whenever other keys are in force.
func (s *Service) serve(ctx context.Context, conn *natsx.Conn, watch *monitor.Monitor) error {
	return natsx.ServeChanging(ctx, conn, &natsx.Changing{
		Describe: func() natsx.Service { return s.service(watch) },
		Changed:  s.changed,
		Serving:  func() { s.deps.Log.Info("serving", zap.Int("issuers", len(s.verifier.issuers))) },
		Stopping: watch.Drain,
	}, s.deps.Log)
}

// service describes the service with the keys in force now.
func (s *Service) service(watch *monitor.Monitor) natsx.Service {
	return natsx.Service{
		Name:        wire.QueueTokencheck,
		Version:     s.deps.Version,
		Description: "validates tokens of OpenID Connect issuers",
		Metadata:    s.metadata(),
		Endpoints: []natsx.Endpoint{{
			Name:        "check",
			Subject:     s.subjects.TokenCheck(),
			Queue:       wire.QueueTokencheck,
			MaxInFlight: s.cfg.MaxInFlight,
			Handle:      s.check,
		}, {
			Name:        "explain",
			Subject:     s.subjects.TokenExplain(),
			Queue:       wire.QueueTokencheck,
			MaxInFlight: maxExplaining,
			Handle:      s.explain,
		}, natsx.ReadyEndpoint(s.subjects, wire.QueueTokencheck, watch)},
		Stats: func(string) any { return s.stats() },
		Trace: s.deps.Trace,
	}
}

// metadata are shown by `nats micro info tokencheck`: replicas that agree show the same. key_sets stands for the keys of
// all issuers, "key_set ISSUER" for those of one; empty before its first keys.
func (s *Service) metadata() map[string]string {
	out := map[string]string{"config": s.configHash()}
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.verifier.issuers)) {
		hash := ""
		if set := s.verifier.issuers[name].keys.current.Load(); set != nil {
			hash = set.hash
		}
		out["key_set "+name] = hash
		all.Write([]byte(name + " " + hash + "\n")) // a hash takes everything
	}
	out["key_sets"] = hex.EncodeToString(all.Sum(nil)[:8])
	return out
}
