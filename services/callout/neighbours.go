package callout

import (
	"context"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// neighbours are the two services that the callout asks. Every error is a *wire.Error. Safe for concurrent use.
type neighbours interface {
	// check has tokencheck judge a token; the answer is checked for what the contract promises.
	check(ctx context.Context, id string, q *wire.CheckRequest) (*wire.Verified, error)
	// decide has policy turn a verified token into a grant; the answer is decoded, not checked.
	decide(ctx context.Context, id string, q *wire.DecideRequest) (*wire.Grant, error)
}

// remote asks them over NATS.
type remote struct {
	tokencheck, policy *natsx.Caller
	subjects           wire.Subjects
}

// newRemote returns the neighbours below one prefix.
func newRemote(c *natsx.Conn, subjects wire.Subjects) (*remote, error) {
	tokencheck, err := natsx.NewCaller(c, natsx.CallerOptions{
		Neighbour:     wire.QueueTokencheck,
		Unavailable:   wire.TokencheckUnavailable,
		MaxReplyBytes: wire.MaxDecideRequestBytes,
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
	data, err := wire.Encode(q)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the check request", err)
	}
	reply, err := n.tokencheck.Call(ctx, n.subjects.TokenCheck(), id, data)
	if err != nil {
		return nil, err
	}
	v, err := wire.Decode[wire.Verified](reply, wire.MaxDecideRequestBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "tokencheck", err)
	}
	if v.Issuer == "" || v.Subject == "" || v.ExpiresAt <= 0 || len(v.Claims) == 0 || len(v.Claims) > wire.MaxClaimsBytes {
		return nil, wire.Fail(wire.BadReply, "tokencheck: issuer, subject, expires_at or claims", nil)
	}
	return v, nil
}

func (n *remote) decide(ctx context.Context, id string, q *wire.DecideRequest) (*wire.Grant, error) {
	data, err := wire.Encode(q)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the decide request", err)
	}
	reply, err := n.policy.Call(ctx, n.subjects.PolicyDecide(), id, data)
	if err != nil {
		return nil, err
	}
	g, err := wire.Decode[wire.Grant](reply, wire.MaxGrantBytes)
	if err != nil {
		return nil, wire.Fail(wire.BadReply, "policy", err)
	}
	return g, nil
}
