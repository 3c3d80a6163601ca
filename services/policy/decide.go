package policy

import (
	"context"
	"encoding/json"
	"fmt"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// maxExplaining bounds explanations at once: they must not cost logins anything.
const maxExplaining = 2

// decide answers one request.
func (s *Service) decide(ctx context.Context, r *natsx.Request) {
	d := &decided{id: r.ID}
	reply, fail := s.judge(ctx, r.Data, d)
	s.answer(r, reply, fail)
	if d.request != nil {
		s.shadow.compare(d)
	}
}

func (s *Service) answer(r *natsx.Request, reply []byte, fail *wire.Error) {
	var err error
	if fail != nil {
		s.refusals.count(fail.Code)
		if fail.Cause != nil {
			s.deps.Log.Warn("decide", zap.String("request_id", r.ID), zap.Error(fail))
		}
		err = r.Fail(fail)
	} else {
		err = r.Respond(reply)
	}
	if err != nil {
		s.deps.Log.Warn("the answer could not be sent", zap.String("request_id", r.ID), zap.Error(err))
	}
}

// judge decides and notes in d what the shadow policy needs.
func (s *Service) judge(ctx context.Context, data []byte, d *decided) (reply []byte, fail *wire.Error) {
	defer func() {
		if p := recover(); p != nil {
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v", p))
		}
	}()
	policy, q, c, fail := s.prepare(data)
	if fail != nil {
		return nil, fail
	}
	grant, fail := policy.Decide(q, c)
	d.request, d.context, d.grant, d.fail = q, c, grant, fail
	if fail == nil {
		if fail = s.registry.Admit(ctx, identity(q), grant.Device); fail != nil {
			fail.Policy = &wire.PolicyName{Rule: grant.Rule, Device: grant.Device}
		}
	}
	if fail != nil {
		return nil, policy.named(fail)
	}
	out := *grant
	out.PolicyGeneration, out.PolicyHash = policy.generation, policy.Hash()
	reply, err := wire.Encode(&out)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	if len(reply) > wire.MaxGrantBytes {
		return nil, policy.named(wire.Fail(wire.GrantTooLarge, "", nil))
	}
	return reply, nil
}

// named returns e with the policy's name for the record.
func (p *inForce) named(e *wire.Error) *wire.Error {
	out, name := *e, wire.PolicyName{}
	if e.Policy != nil {
		name = *e.Policy
	}
	name.Generation, name.Hash = p.generation, p.Hash()
	out.Policy = &name
	return &out
}

// prepare reads a request and finds what its decision needs.
func (s *Service) prepare(data []byte) (*inForce, *wire.DecideRequest, rules.Context, *wire.Error) {
	c := rules.Context{Now: s.deps.Now()}
	q, err := wire.Decode[wire.DecideRequest](data, wire.MaxDecideRequestBytes)
	if err != nil {
		return nil, nil, c, wire.Fail(wire.BadRequest, "decide request", err)
	}
	policy := s.store.current.Load()
	if policy == nil {
		return nil, nil, c, wire.Fail(wire.PolicyNotLoaded, "", nil)
	}
	var fail *wire.Error
	c.Device, fail = s.registry.Lookup(identity(q))
	return policy, q, c, fail
}

func identity(q *wire.DecideRequest) registry.Identity {
	return registry.Identity{Issuer: q.Token.Issuer, Subject: q.Token.Subject}
}

// questions are what an operator may ask beside a decide request.
type questions struct {
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
}

// explained answers them.
type explained struct {
	*rules.Explanation
	PolicyGeneration uint64              `json:"policy_generation"`
	Device           *rules.Device       `json:"registered,omitempty"`
	Publish          map[string]mayOrNot `json:"publish,omitempty"`
	Subscribe        map[string]mayOrNot `json:"subscribe,omitempty"`
}

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
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v", p))
		}
	}()
	policy, q, c, fail := s.prepare(data)
	if fail != nil {
		return nil, fail
	}
	var asked questions
	if err := json.Unmarshal(data, &asked); err != nil {
		return nil, wire.Fail(wire.BadRequest, "explain request", err)
	}
	out := explained{Explanation: policy.Explain(q, c), PolicyGeneration: policy.generation, Device: c.Device}
	if out.Grant != nil {
		out.Publish, out.Subscribe = mayAll(out.Grant.Publish, asked.Publish), mayAll(out.Grant.Subscribe, asked.Subscribe)
		out.Error = s.registry.Would(identity(q), out.Grant.Device)
	}
	reply, err := json.Marshal(out)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode", err)
	}
	return reply, nil
}

func mayAll(side wire.Permissions, subjects []string) map[string]mayOrNot {
	out := make(map[string]mayOrNot, len(subjects))
	for _, s := range subjects {
		may, why := rules.May(side, s)
		out[s] = mayOrNot{may, why}
	}
	return out
}
