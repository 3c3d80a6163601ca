package tokencheck

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// maxExplaining bounds the explanations at once; they are for people.
const maxExplaining = 4

// Results of a check.
const (
	passed     = "passed"
	failed     = "failed"
	notReached = "not reached"
)

// Explanation is how a token was judged. It holds what the token says, never the token.
type Explanation struct {
	// Checks are all checks in their order.
	Checks []CheckExplanation `json:"checks"`
	// Issuer is the configured issuer whose token it is; empty when there is none.
	Issuer string `json:"issuer,omitempty"`
	// KeyID and Algorithm are what a JWT's header says, whether or not they verify it.
	KeyID     string `json:"kid,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	// KeySet and KnownKeys are the issuer's keys in force; both absent for an opaque token.
	KeySet    string   `json:"key_set,omitempty"`
	KnownKeys []string `json:"known_kids,omitempty"`
	// Verified is the answer that the callout gets, and hands to policy as token; Error is in its place.
	Verified *wire.Verified `json:"verified,omitempty"`
	Error    *wire.Error    `json:"error,omitempty"`
}

// CheckExplanation is one check's part.
type CheckExplanation struct {
	Check string `json:"check"`
	// Result is passed, failed or not reached.
	Result string `json:"result"`
	// Problem is why it failed.
	Problem string `json:"problem,omitempty"`
}

// explain answers an operator. The token goes the same way as a device's; nothing is counted.
func (s *Service) explain(ctx context.Context, r *natsx.Request) {
	reply, fail := s.explanation(ctx, r.Data)
	s.answer(r, reply, fail)
}

func (s *Service) explanation(ctx context.Context, data []byte) (reply []byte, fail *wire.Error) {
	defer func() {
		if p := recover(); p != nil {
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	q, err := wire.Decode[wire.CheckRequest](data, wire.MaxCheckRequestBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "explain request", err)
	}
	reply, err = json.Marshal(s.verifier.explain(ctx, q.Token, q.CertificateSHA256))
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	return reply, nil
}

// explain judges as verify does, and says how.
func (v *verifier) explain(ctx context.Context, token, certificateSHA256 string) *Explanation {
	j := &judgement{token: token, certificate: certificateSHA256}
	out := &Explanation{}
	out.Error = v.walk(ctx, j, v.checksOf(token), func(check string, fail *wire.Error) {
		e := CheckExplanation{Check: check, Result: passed}
		if fail != nil {
			e.Result, e.Problem = failed, fail.Error()
		}
		out.Checks = append(out.Checks, e)
	})
	for _, c := range v.checksOf(token)[len(out.Checks):] {
		out.Checks = append(out.Checks, CheckExplanation{Check: c.name, Result: notReached})
	}
	if j.header != nil {
		out.KeyID, out.Algorithm = bounded(j.header.kid), bounded(j.header.Algorithm)
	}
	if j.issuer != nil {
		out.Issuer = j.issuer.Issuer
		if set := j.issuer.keys.current.Load(); set != nil && j.header != nil {
			out.KeySet, out.KnownKeys = set.hash, set.ids()
		}
	}
	if out.Error == nil {
		out.Verified = j.verified()
	}
	return out
}
