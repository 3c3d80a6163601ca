package policy

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
)

// pollEvery is how often the rules file is looked at. Looking finds what notifications miss: swapped symbolic links of
// mounted volumes, network file systems, files that were away for a moment.
const pollEvery = 500 * time.Millisecond

// loaded is a rules file that compiled.
type loaded struct {
	policy   *rules.Policy
	warnings config.Problems
}

func readRules(file config.Path) (*loaded, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	policy, warnings, err := rules.Compile(string(file), text)
	if err != nil {
		return nil, err
	}
	return &loaded{policy: policy, warnings: warnings}, nil
}

// inForce is a policy with the number of those that came before it in this process.
type inForce struct {
	*rules.Policy
	generation uint64
}

// source keeps the policy of a file in force. Safe for concurrent use.
type source struct {
	file    config.Path
	log     *zap.Logger
	current atomic.Pointer[inForce]
	// tried is the text that was read last, good or not. Only run uses it.
	tried string
	lost  bool
}

// newSource loads the file for the first time; it must be good.
func newSource(file config.Path, log *zap.Logger) (*source, error) {
	s := &source{file: file, log: log}
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	if err := s.take(string(text)); err != nil {
		return nil, err
	}
	return s, nil
}

// take puts text in force if it compiles; the policy in force stays otherwise.
func (s *source) take(text string) error {
	s.tried = text
	policy, warnings, err := rules.Compile(string(s.file), []byte(text))
	if err != nil {
		return err
	}
	next := &inForce{Policy: policy, generation: 1}
	if old := s.current.Load(); old != nil {
		next.generation = old.generation + 1
	}
	s.current.Store(next)
	for _, w := range warnings {
		s.log.Warn("policy", zap.Stringer("problem", w))
	}
	s.log.Info("policy in force", zap.Uint64("policy_generation", next.generation), zap.String("policy_hash", policy.Hash()), zap.Int("rules", policy.Rules()))
	return nil
}

// run takes over every good change of the file until ctx ends.
func (s *source) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.look()
		}
	}
}

// look reads the file and, if it changed, tries it. What is wrong is logged once for each change.
func (s *source) look() {
	text, err := os.ReadFile(string(s.file))
	if err != nil {
		if !s.lost {
			s.log.Error("the rules file cannot be read; the last good policy stays in force", zap.Error(err))
		}
		s.lost = true
		return
	}
	s.lost = false
	if string(text) == s.tried {
		return
	}
	if err := s.take(string(text)); err != nil {
		s.log.Error("the rules file is broken; the last good policy stays in force", zap.Error(err))
	}
}
