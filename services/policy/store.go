package policy

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/atomicfile"
	"harmony.internal/authcallout/shared/config"
)

// inForce is a policy with its number.
type inForce struct {
	*rules.Policy
	generation uint64
}

// store holds the policy in force. current may be read from anywhere; one goroutine at a time calls the rest.
type store struct {
	log      *zap.Logger
	system   rules.System
	current  atomic.Pointer[inForce]
	lastGood config.Path   // where the text in force is kept, empty for nowhere
	refused  atomic.Int64  // texts that were not taken over
	changed  chan struct{} // holds one value after a change that nobody has taken notice of
}

func newStore(log *zap.Logger, system rules.System, lastGood config.Path) *store {
	return &store{log: log, system: system, lastGood: lastGood, changed: make(chan struct{}, 1)}
}

func (s *store) set(p *inForce) {
	s.current.Store(p)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// take puts text in force if it compiles; the policy in force stays otherwise.
func (s *store) take(name string, text []byte, generation uint64) error {
	policy, warnings, err := s.system.Compile(name, text)
	if err != nil {
		s.refused.Add(1)
		return err
	}
	s.set(&inForce{Policy: policy, generation: generation})
	for _, w := range warnings {
		s.log.Warn("policy", zap.Stringer("problem", w))
	}
	s.log.Info("policy in force", zap.Uint64("policy_generation", generation), zap.String("policy_hash", policy.Hash()), zap.Int("rules", policy.Rules()))
	if s.lastGood != "" {
		if err := atomicfile.Replace(string(s.lastGood), text); err != nil {
			s.log.Error("last_good_file cannot be written; after a restart during an outage this policy would be missing", zap.Error(err))
		}
	}
	return nil
}

// takeLastGood puts the text that was kept in force, as generation 0. It reports whether there was one.
func (s *store) takeLastGood() bool {
	if s.lastGood == "" {
		return false
	}
	text, err := os.ReadFile(string(s.lastGood))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("last_good_file cannot be read", zap.Error(err))
		}
		return false
	}
	policy, _, err := s.system.Compile(string(s.lastGood), text)
	if err != nil {
		s.log.Error("last_good_file is broken", zap.Error(err))
		return false
	}
	s.set(&inForce{Policy: policy})
	s.log.Warn("the last good policy of an earlier run is in force", zap.String("policy_hash", policy.Hash()), zap.Int("rules", policy.Rules()))
	return true
}
