package policy

import (
	"context"
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/registry"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// decide answers one request.
func (s *Service) decide(ctx context.Context, r *natsx.Request) {
	d := &decided{id: r.ID}
	reply, fail := s.judge(ctx, r.Data, d)
	if fail != nil {
		s.refusals.count(fail.Code)
	}
	s.answer(r, reply, fail)
	if d.request != nil {
		s.shadow.compare(d)
	}
}

func (s *Service) answer(r *natsx.Request, reply []byte, fail *wire.Error) {
	var err error
	if fail != nil {
		if fail.Cause != nil {
			s.deps.Log.Warn("not answered as asked", zap.String("subject", r.Subject), zap.String("request_id", r.ID), zap.Error(fail))
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
			reply, fail = nil, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	q, err := wire.Decode[wire.DecideRequest](data, wire.MaxDecideRequestBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "decide request", err)
	}
	if q.HandedOn != nil {
		defer func() {
			if fail != nil {
				fail.Verified = q.Answer(nil)
			}
		}()
	}
	policy, c, fail := s.inputs(q)
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
	if q.HandedOn != nil {
		reply, err = wire.Encode(q.Answer(&out))
	} else {
		reply, err = wire.Encode(&out)
	}
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

// inputs finds what the decision of q needs.
func (s *Service) inputs(q *wire.DecideRequest) (*inForce, rules.Context, *wire.Error) {
	c := rules.Context{Now: s.deps.Now()}
	policy := s.store.current.Load()
	if policy == nil {
		return nil, c, wire.Fail(wire.PolicyNotLoaded, "", nil)
	}
	var fail *wire.Error
	c.Device, fail = s.registry.Lookup(identity(q))
	return policy, c, fail
}

func identity(q *wire.DecideRequest) registry.Identity {
	return registry.Identity{Issuer: q.Token.Issuer, Subject: q.Token.Subject}
}
