package callout

import (
	"context"
	"time"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// neighbours are the two services that the callout asks. Every error is a *wire.Error. Safe for concurrent use.
type neighbours interface {
	// check has tokencheck judge a token, and policy decide where tokencheck hands q on: the Verified then has a Grant. The answer
	// is checked for what the contract promises, but for the Grant.
	check(ctx context.Context, id string, q *wire.CheckRequest) (*wire.Verified, error)
	// decide has policy turn a verified token into a grant; the answer is decoded, not checked.
	decide(ctx context.Context, id string, q *wire.DecideRequest) (*wire.Grant, error)
}

// remote asks them over NATS.
type remote struct {
	tokencheck, policy *natsx.Caller
	subjects           wire.Subjects
	pause              pause
}

// newRemote returns the neighbours below one prefix.
func newRemote(c *natsx.Conn, subjects wire.Subjects) (*remote, error) {
	tokencheck, err := natsx.NewCaller(c, natsx.CallerOptions{
		Neighbour:     wire.QueueTokencheck,
		Unavailable:   wire.TokencheckUnavailable,
		MaxReplyBytes: wire.MaxGrantBytes,
		HandsOn:       true,
	})
	if err != nil {
		return nil, err
	}
	policy, err := natsx.NewCaller(c, natsx.CallerOptions{
		Neighbour:     wire.QueuePolicy,
		Unavailable:   wire.PolicyUnavailable,
		MaxReplyBytes: wire.MaxGrantBytes,
	})
	if err != nil {
		return nil, err
	}
	return &remote{tokencheck: tokencheck, policy: policy, subjects: subjects, pause: pause{since: time.Now()}}, nil
}

func (n *remote) check(ctx context.Context, id string, q *wire.CheckRequest) (*wire.Verified, error) {
	alone := *q
	alone.Client = nil
	again, err := wire.Encode(&alone)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the check request", err)
	}
	first := again
	var handOn bool
	var try trial
	if q.Client != nil {
		handOn, try = n.pause.over()
	}
	if handOn {
		if first, err = wire.Encode(q); err != nil {
			return nil, wire.Fail(wire.Internal, "encode the check request", err)
		}
	}
	// What is handed on may be lost where nobody would say so, because policy is away; a further attempt is tokencheck's alone.
	answer, err := n.tokencheck.CallOnward(ctx, natsx.Outgoing{Subject: n.subjects.TokenCheck(), ID: id, Data: first, Again: again, Onward: handOn})
	switch {
	case !handOn:
	case answer.HandedOn:
		n.pause.end(try)
	case answer.Unanswered && (err == nil || wire.CodeOf(err) == wire.TokencheckUnavailable):
		n.pause.extend(afterSilence)
	default: // tokencheck answered itself, late perhaps, which says nothing
		n.pause.next(try)
	}
	if err != nil {
		return nil, err
	}
	v, err := wire.Decode[wire.Verified](answer.Data, wire.MaxGrantBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "tokencheck", err)
	}
	if answer.HandedOn && v.ClientDigest == "" {
		// A policy of a release before does not know what was handed on, and sent a Grant alone. Once: alone is not handed on.
		n.pause.extend(afterEarlierRelease)
		return n.check(ctx, id, &alone)
	}
	switch {
	case v.Issuer == "" || v.Subject == "" || v.ExpiresAt <= 0:
		return nil, wire.Fail(wire.BadReply, "tokencheck: issuer, subject or expires_at", nil)
	case answer.HandedOn && v.ClientDigest != q.Client.Digest():
		return nil, wire.Fail(wire.BadReply, "policy decided about another connection", nil)
	case answer.HandedOn != (v.Grant != nil):
		// nats-server lets policy alone publish where what was handed on is answered: tokencheck grants nothing.
		return nil, wire.Fail(wire.BadReply, "a grant not by way of policy, or none by way of it", nil)
	case v.Grant == nil && (len(v.Claims) == 0 || len(v.Claims) > wire.MaxClaimsBytes):
		return nil, wire.Fail(wire.BadReply, "tokencheck: claims", nil)
	}
	return v, nil
}

func (n *remote) decide(ctx context.Context, id string, q *wire.DecideRequest) (*wire.Grant, error) {
	data, err := wire.Encode(q)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the decide request", err)
	}
	reply, err := n.policy.Call(ctx, natsx.Outgoing{Subject: n.subjects.PolicyDecide(), ID: id, Data: data})
	if err != nil {
		return nil, err
	}
	g, err := wire.Decode[wire.Grant](reply, wire.MaxGrantBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "policy", err)
	}
	return g, nil
}
