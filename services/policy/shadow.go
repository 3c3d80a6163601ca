package policy

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// shadowSamples bounds how many differences are logged.
const shadowSamples = time.Second

// shadow tries a candidate beside the policy in force. Safe for concurrent use.
type shadow struct {
	log     *zap.Logger
	current atomic.Pointer[rules.Policy]
	samples *rate.Limiter

	compared, admits, refuses, gains, loses, other atomic.Int64
}

// ShadowStats is what a candidate would have changed, counted since the process started.
type ShadowStats struct {
	PolicyHash string `json:"policy_hash"`
	Compared   int64  `json:"compared"`
	// Admits and Refuses are logins that the candidate would turn around; Gains and Loses those that would have more, or
	// fewer, entries of subjects, and Other those with another account, device id or session, or another reason.
	Admits  int64 `json:"would_admit"`
	Refuses int64 `json:"would_refuse"`
	Gains   int64 `json:"would_gain"`
	Loses   int64 `json:"would_lose"`
	Other   int64 `json:"other"`
}

func newShadow(log *zap.Logger) *shadow {
	return &shadow{log: log, samples: rate.NewLimiter(rate.Every(shadowSamples), 10)}
}

// file offers the candidate's file.
func (s *shadow) file(file config.Path) *watched {
	return &watched{file: file, what: "shadow rules file", log: s.log, take: func(text []byte) error {
		p, _, err := rules.Compile(string(file), text)
		if err == nil {
			s.current.Store(p)
			s.log.Info("shadow policy taken", zap.String(logx.PolicyHash, p.Hash()))
		}
		return err
	}}
}

// compare decides once more, after the answer was sent.
func (s *shadow) compare(d *decided) {
	candidate := s.current.Load()
	if candidate == nil {
		return
	}
	diff := rules.CompareDecided(d.grant, d.fail, candidate, d.request, d.context)
	s.compared.Add(1)
	if diff.Same() {
		return
	}
	s.count(d, &diff)
	if s.samples.Allow() {
		device := ""
		if d.grant != nil {
			device = d.grant.Device
		}
		s.log.Info("shadow policy differs", zap.String(logx.RequestID, d.id), zap.String(logx.Issuer, d.request.Token.Issuer),
			zap.String(logx.Subject, d.request.Token.Subject), zap.String(logx.Device, device),
			zap.String(logx.PolicyHash, candidate.Hash()), zap.Stringer("difference", diff))
	}
}

func (s *shadow) count(d *decided, diff *rules.Difference) {
	switch {
	case diff.Outcome != "" && d.fail == nil:
		s.refuses.Add(1)
	case diff.Admits:
		s.admits.Add(1)
	case len(diff.Gained)+len(diff.Lost) == 0:
		s.other.Add(1)
	}
	if len(diff.Gained) > 0 {
		s.gains.Add(1)
	}
	if len(diff.Lost) > 0 {
		s.loses.Add(1)
	}
}

func (s *shadow) stats() *ShadowStats {
	p := s.current.Load()
	if p == nil {
		return nil
	}
	return &ShadowStats{
		PolicyHash: p.Hash(), Compared: s.compared.Load(), Admits: s.admits.Load(), Refuses: s.refuses.Load(),
		Gains: s.gains.Load(), Loses: s.loses.Load(), Other: s.other.Load(),
	}
}

// decided is one decision, as it was answered but for the registry's veto.
type decided struct {
	id      string
	request *wire.DecideRequest
	context rules.Context
	grant   *wire.Grant
	fail    *wire.Error
}
