package callout

import (
	"context"
	"sync/atomic"
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
	// twoStepsUntil is until when, in Unix nanoseconds, tokencheck is not asked to hand on, 0 while it is. When the time is over one login
	// tries, and the others wait for what becomes of it.
	twoStepsUntil atomic.Int64
}

// How long tokencheck is not asked to hand on.
const (
	// afterSilence: after what was to be handed on got no answer. Who asks policy itself is told at once when nobody serves it.
	afterSilence = time.Second
	// afterEarlierRelease: after an answer of a policy that does not know wire.HandedOn.
	afterEarlierRelease = time.Minute
)

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
	return &remote{tokencheck: tokencheck, policy: policy, subjects: subjects}, nil
}

func (n *remote) check(ctx context.Context, id string, q *wire.CheckRequest) (*wire.Verified, error) {
	alone := *q
	alone.Client = nil
	again, err := wire.Encode(&alone)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the check request", err)
	}
	first := again
	handOn, try := n.mayHandOn(time.Now())
	if handOn = handOn && q.Client != nil; handOn {
		if first, err = wire.Encode(q); err != nil {
			return nil, wire.Fail(wire.Internal, "encode the check request", err)
		}
	}
	// What is handed on may be lost where nobody would say so, because policy is away; a further attempt is tokencheck's alone.
	answer, err := n.tokencheck.CallOnward(ctx, natsx.Outgoing{Subject: n.subjects.TokenCheck(), ID: id, Data: first, Again: again})
	switch {
	case !handOn:
	case answer.HandedOn:
		n.twoStepsUntil.Store(0)
	case answer.Unanswered:
		n.twoSteps(afterSilence)
	case try != 0: // tokencheck answered itself, which says nothing: the next login tries
		n.twoStepsUntil.CompareAndSwap(try, 1)
	}
	if err != nil {
		return nil, err
	}
	v, err := wire.Decode[wire.Verified](answer.Data, wire.MaxGrantBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "tokencheck", err)
	}
	if answer.HandedOn && v.Issuer == "" && v.Grant == nil {
		// A policy of a release before that does not know what was handed on, and sent a Grant alone.
		n.twoSteps(afterEarlierRelease)
		return n.check(ctx, id, &alone)
	}
	switch {
	case v.Issuer == "" || v.Subject == "" || v.ExpiresAt <= 0:
		return nil, wire.Fail(wire.BadReply, "tokencheck: issuer, subject or expires_at", nil)
	case answer.HandedOn != (v.Grant != nil):
		// nats-server lets policy alone publish where what was handed on is answered: tokencheck grants nothing.
		return nil, wire.Fail(wire.BadReply, "a grant not by way of policy, or none by way of it", nil)
	case v.Grant == nil && (len(v.Claims) == 0 || len(v.Claims) > wire.MaxClaimsBytes):
		return nil, wire.Fail(wire.BadReply, "tokencheck: claims", nil)
	}
	return v, nil
}

// mayHandOn says whether tokencheck may be asked to hand on. try is not 0 for the login that tries after a pause, until the end of which
// the others do not.
func (n *remote) mayHandOn(now time.Time) (ok bool, try int64) {
	until := n.twoStepsUntil.Load()
	switch {
	case until == 0:
		return true, 0
	case now.UnixNano() < until:
		return false, 0
	}
	try = now.Add(afterSilence).UnixNano()
	return n.twoStepsUntil.CompareAndSwap(until, try), try
}

// twoSteps extends the pause in which tokencheck is not asked to hand on to at least now and this long.
func (n *remote) twoSteps(lasts time.Duration) {
	until := time.Now().Add(lasts).UnixNano()
	for {
		before := n.twoStepsUntil.Load()
		if until <= before || n.twoStepsUntil.CompareAndSwap(before, until) {
			return
		}
	}
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
