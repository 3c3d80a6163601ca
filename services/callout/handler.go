package callout

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// message is one authorization request as it arrived.
type message struct {
	id         string
	data       []byte
	serverXKey string // header Nats-Server-Xkey, empty without one
	received   time.Time
	unsealed   *unsealed // nil: it was not opened yet
	reply
}

// reply is how a request ends; *natsx.Request is one.
type reply interface {
	// Respond sends the answer to the server.
	Respond(answer []byte) error
	// Count counts a failure that is not answered.
	Count(fail *wire.Error)
	// Shorten moves the end of the handler's context to an earlier time.
	Shorten(end time.Time)
}

func messageOf(r *natsx.Request) message {
	opened, _ := r.Kept.(*unsealed)
	return message{
		id: r.ID, data: r.Data, serverXKey: r.Header.Get(headerServerXKey), received: r.Received, unsealed: opened, reply: r,
	}
}

// size is how many bytes m keeps.
func (m message) size() int64 {
	if m.unsealed != nil {
		return int64(len(m.data) + len(m.unsealed.text))
	}
	return int64(len(m.data))
}

// open opens m, which is done once: the source of one that had to wait was read in it.
func (m message) open(o *opener, now time.Time) (*authRequest, *wire.Error) {
	if m.unsealed == nil {
		return o.open(m.data, m.serverXKey, now)
	}
	return o.read(m.unsealed, now)
}

func (m message) newDecision() *decision {
	return &decision{id: m.id, start: m.received, last: m.received}
}

// handler answers authorization requests: it orders the steps and sees that each request leaves one record.
type handler struct {
	opener     *opener
	minter     *minter
	neighbours neighbours
	budget     budget
	hangups    *hangups
	servers    *servers
	// account is for a grant that names none, accounts all that a grant may name.
	account  string
	accounts []string
	// maxAnswer is the largest answer that can be sent, in bytes: max_payload of the server that this callout is connected to now.
	maxAnswer func() int64
	now       func() time.Time
	recorder  *recorder
}

// handle works on one request that was admitted. ctx ends with the ceiling of the budget.
func (h *handler) handle(ctx context.Context, m message) {
	d := m.newDecision()
	d.span = trace.FromContext(ctx)
	defer h.recorder.write(d)
	defer h.letGoOfPanic(m, d)
	if fail := h.login(ctx, m, d); fail != nil {
		h.refuse(m, d, fail)
	}
}

// login is one login from request to answer. It fails with the reason for which the device is not admitted.
func (h *handler) login(ctx context.Context, m message, d *decision) *wire.Error {
	req, fail := m.open(h.opener, h.now())
	d.request = req
	d.stepDone(&d.openTime)
	if fail != nil {
		return fail
	}
	m.Shorten(m.received.Add(h.budget.of(req.Wait)))
	if fail := h.servers.admit(ctx, req); fail != nil {
		return fail
	}
	if req.signer == nil {
		// An answer by another key would be an authorization error to the client.
		return wire.Fail(wire.IssuerKeyMissing, "the server trusts "+req.Issuer, nil)
	}

	token, fail := req.Credentials.token()
	if fail != nil {
		return fail
	}
	verified, grant, fail := h.ask(ctx, m.id, req, token, d)
	if fail != nil {
		return fail
	}
	answer, fail := h.mint(req, verified, grant, d)
	d.stepDone(&d.mintTime)
	if fail != nil {
		return fail
	}
	if ctx.Err() != nil {
		return wire.Fail(wire.OutOfTime, "", nil)
	}
	if err := m.Respond(answer); err != nil {
		return wire.Fail(wire.Internal, "the answer could not be sent", err)
	}
	d.outcome = outcomeAdmitted
	return nil
}

// ask has the neighbours verify the token and decide.
func (h *handler) ask(ctx context.Context, id string, req *authRequest, token string, d *decision) (*wire.Verified, *wire.Grant, *wire.Error) {
	verified, err := h.neighbours.check(ctx, id, &wire.CheckRequest{
		Token: token, CertificateSHA256: leafSHA256(req.Client), Client: &req.Client,
	})
	d.verified = verified
	d.stepDone(&d.tokenTime)
	if err != nil {
		fail := asFailure(err)
		if fail.Verified != nil { // policy's, to which the token was handed on
			d.verified = fail.Verified
			d.handedOn(fail.Verified.CheckMicros)
		}
		return nil, nil, fail
	}
	if verified.Grant != nil {
		d.grant = verified.Grant
		d.handedOn(verified.CheckMicros)
		return verified, verified.Grant, nil
	}
	grant, err := h.neighbours.decide(ctx, id, &wire.DecideRequest{Token: *verified, Client: req.Client})
	d.grant = grant
	d.stepDone(&d.policyTime)
	if err != nil {
		return nil, nil, asFailure(err)
	}
	return verified, grant, nil
}

// mint checks the grant and signs the answer that admits.
func (h *handler) mint(req *authRequest, v *wire.Verified, g *wire.Grant, d *decision) ([]byte, *wire.Error) {
	if g.Account == "" {
		g.Account = h.account
	}
	if fail := checkGrant(g, h.accounts); fail != nil {
		return nil, fail
	}
	now := h.now()
	userJWT, expires, fail := h.minter.userJWT(req, v, g, now)
	if fail != nil {
		return nil, fail
	}
	d.expires = expires
	answer, fail := h.minter.admit(req, userJWT, now)
	if fail != nil {
		return nil, fail
	}
	if most := h.maxAnswer(); int64(len(answer)) > most {
		return nil, wire.Fail(wire.GrantTooLarge, fmt.Sprintf("answer of %d bytes, and max_payload of nats-server is %d", len(answer), most), nil)
	}
	return answer, nil
}

// refuse answers definite failures and lets go of the others. A request that did not verify gets nothing: it has no
// sender to answer to, and no connection that could be named.
func (h *handler) refuse(m message, d *decision, fail *wire.Error) {
	d.fail = fail
	switch {
	case d.request == nil, fail.Code == wire.RequestServer:
		d.outcome = outcomeRefused
		m.Count(fail)
		return
	case fail.Code.Class() != wire.Definite:
		h.letGo(m, d, fail)
		return
	}
	answer, failed := h.minter.deny(d.request, h.now())
	if failed != nil {
		h.letGo(m, d, failed)
		return
	}
	if err := m.Respond(answer); err != nil {
		h.letGo(m, d, wire.Fail(wire.Internal, "the answer could not be sent", err))
		return
	}
	d.outcome = outcomeDenied
}

// letGo ends an attempt in transient trouble: the client comes back (DESIGN P1).
func (h *handler) letGo(m message, d *decision, fail *wire.Error) {
	d.fail = fail
	m.Count(fail)
	if d.request != nil && h.hangups.hangUp(d.request.ServerID, d.request.Client.ID) {
		d.outcome = outcomeHungUp
		return
	}
	d.outcome = outcomeSilent
}

// letGoOfPanic is deferred: a fault of ours is the trouble of one attempt, and not the end of the process.
func (h *handler) letGoOfPanic(m message, d *decision) {
	if p := recover(); p != nil {
		h.letGo(m, d, wire.Fail(wire.Internal, "panic", fmt.Errorf("%v\n%s", p, debug.Stack())))
	}
}

// giveUp lets go of a request that was not taken on. It opens it first, because only a request that verifies may name
// the connection to close.
func (h *handler) giveUp(m message, fail *wire.Error) {
	d := m.newDecision()
	defer h.recorder.write(d)
	defer h.letGoOfPanic(m, d)
	req, notOpened := m.open(h.opener, h.now())
	d.request = req
	d.stepDone(&d.openTime)
	if notOpened != nil {
		h.refuse(m, d, notOpened)
		return
	}
	h.letGo(m, d, fail)
}

func leafSHA256(c wire.Client) string {
	if c.TLS == nil {
		return ""
	}
	return c.TLS.SHA256
}

// asFailure returns err as a failure; one that is none counts as a fault of ours.
func asFailure(err error) *wire.Error {
	var fail *wire.Error
	if errors.As(err, &fail) {
		return fail
	}
	return wire.Fail(wire.Internal, "", err)
}

// giveUpUnread records a request that was let go of without opening it.
func (h *handler) giveUpUnread(m message, fail *wire.Error) {
	d := m.newDecision()
	d.outcome, d.fail = outcomeSilent, fail
	m.Count(fail)
	h.recorder.write(d)
}
