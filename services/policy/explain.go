package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// maxExplaining bounds explanations at once: they must not cost logins anything.
const maxExplaining = 2

// ExplainRequest is what an operator sends: a decide request, or what tokencheck answered when it explained a token, so
// that the one's output is the other's input. Either may ask about subjects too.
type ExplainRequest struct {
	wire.DecideRequest
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
	// Verified is tokencheck's verdict on a good token, in place of Token; Error is its verdict on another.
	Verified *wire.Verified `json:"verified"`
	Error    *wire.Error    `json:"error"`
	// Checks are tokencheck's.
	Checks json.RawMessage `json:"checks"`
}

// ReadExplainRequest reads one of at most wire.MaxDecideRequestBytes, as strictly as a decide request is read. Token has
// claims, or Error is set.
func ReadExplainRequest(data []byte) (*ExplainRequest, error) {
	if _, err := wire.Decode[wire.DecideRequest](data, wire.MaxDecideRequestBytes); err != nil {
		return nil, err
	}
	q := &ExplainRequest{}
	if err := json.Unmarshal(data, q); err != nil {
		return nil, err
	}
	if q.Verified != nil {
		q.Token, q.Error = *q.Verified, nil
	}
	if len(q.Token.Claims) == 0 && q.Error == nil {
		return nil, errors.New("neither token, as in a decide request, nor verified or error, as tokencheck explains a token")
	}
	return q, nil
}

// explained answers it.
type explained struct {
	// Checks are tokencheck's, unchanged.
	Checks json.RawMessage `json:"checks,omitempty"`
	// Refused says who refuses, token or policy, and is empty when the device would be admitted.
	Refused string `json:"refused,omitempty"`
	*rules.Explanation
	PolicyGeneration uint64              `json:"policy_generation"`
	Device           *rules.Device       `json:"registered,omitempty"`
	Publish          map[string]mayOrNot `json:"publish,omitempty"`
	Subscribe        map[string]mayOrNot `json:"subscribe,omitempty"`
}

// Who refuses.
const (
	refusedToken  = "token"
	refusedPolicy = "policy"
)

type mayOrNot struct {
	May bool   `json:"may"`
	Why string `json:"why"`
}

// explain answers an operator. It pins nothing: with a registry in mode pin a free device id is only named.
func (s *Service) explain(_ context.Context, r *natsx.Request) {
	reply, fail := s.explanation(r.Data)
	s.answer(r, reply, fail)
}

func (s *Service) explanation(data []byte) (reply []byte, fail *wire.Error) {
	defer func() {
		if p := recover(); p != nil {
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	q, err := ReadExplainRequest(data)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "explain request", err)
	}
	out := &explained{Checks: q.Checks}
	if q.Error != nil {
		out.Refused, out.Explanation = refusedToken, &rules.Explanation{Error: q.Error}
	} else if fail := s.explainDecision(q, out); fail != nil {
		return nil, fail
	}
	if reply, err = json.Marshal(out); err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	return reply, nil
}

func (s *Service) explainDecision(q *ExplainRequest, out *explained) *wire.Error {
	policy, c, fail := s.inputs(&q.DecideRequest)
	if fail != nil {
		return fail
	}
	out.Explanation, out.PolicyGeneration, out.Device = policy.Explain(&q.DecideRequest, c), policy.generation, c.Device
	if out.Grant != nil {
		out.Error = s.registry.Would(identity(&q.DecideRequest), out.Grant.Device)
	}
	if out.Error != nil {
		out.Refused, out.Grant = refusedPolicy, nil
	}
	if out.Grant != nil {
		out.Publish, out.Subscribe = mayAll(out.Grant.Publish, q.Publish), mayAll(out.Grant.Subscribe, q.Subscribe)
	}
	return nil
}

func mayAll(side wire.Permissions, subjects []string) map[string]mayOrNot {
	out := make(map[string]mayOrNot, len(subjects))
	for _, s := range subjects {
		may, why := rules.May(side, s)
		out[s] = mayOrNot{may, why}
	}
	return out
}
