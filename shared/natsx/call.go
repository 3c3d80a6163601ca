package natsx

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

const (
	// hopShave is what the way to the neighbour and back takes from the budget that goes along.
	hopShave = 10 * time.Millisecond
	// defaultSecondAttempt is SecondAttempt's default.
	defaultSecondAttempt = 0.4
	// maxAttempts of one call, those that met no responder not counted.
	maxAttempts = 3
	// The pause before asking again where nobody listens: doubled from the first to the longest, with jitter.
	firstPause   = 10 * time.Millisecond
	longestPause = 160 * time.Millisecond
	// maxErrorBytes bounds the body of an error reply.
	maxErrorBytes = 8 << 10
)

// Caller sends internal requests. Safe for concurrent use.
type Caller struct {
	conn    *Conn
	options CallerOptions
	inbox   *inbox
	// silence has further attempts after none came back in time, trouble those after an answer that says that a replica is in trouble: that
	// answer comes at once for tokens that anybody can make, and must not use up what the death of a replica needs.
	silence, trouble *retryBudget
	// calls counts requests, again further attempts.
	calls, again atomic.Uint64
}

// CallerOptions tune one neighbour.
type CallerOptions struct {
	// Neighbour is the name of the service that is called, for the metrics; empty: they leave this Caller out.
	Neighbour string
	// Unavailable is the code for "nobody answered", for example wire.TokencheckUnavailable.
	Unavailable wire.Code
	// SecondAttempt is the share of the remaining budget after which the request is sent once more, to whichever replica
	// takes it; 0 means 0.4.
	SecondAttempt float64
	// MaxReplyBytes bounds the success reply; a longer one is wire.BadReply.
	MaxReplyBytes int
	// HandsOn says that the neighbour may hand requests on: further attempts have a larger stock, because first ones can be lost there.
	HandsOn bool
}

// NewCaller returns a Caller over c.
func NewCaller(c *Conn, o CallerOptions) (*Caller, error) {
	if o.SecondAttempt <= 0 || o.SecondAttempt >= 1 {
		o.SecondAttempt = defaultSecondAttempt
	}
	in, err := newInbox(c)
	if err != nil {
		return nil, err
	}
	caller := &Caller{conn: c, options: o, inbox: in, silence: newRetryBudget(retryStock), trouble: newRetryBudget(retryStock)}
	if o.HandsOn {
		caller.silence = newRetryBudget(retryStockOnward)
	}
	if o.Neighbour != "" {
		c.meter.calls(caller)
	}
	return caller, nil
}

// Outgoing is a request to a neighbour.
type Outgoing struct {
	Subject string
	ID      string // goes along as wire.HeaderRequestID
	Data    []byte
	// Again is what further attempts send in place of Data; nil: they send Data too.
	Again []byte
	// Onward says that Data asks to be handed on: replies on the subject with wire.HandedOnReply are taken, which are dropped otherwise.
	Onward bool
}

// Answer is how a call ended.
type Answer struct {
	Data []byte // the success reply
	// HandedOn says that it, or the error, came by way of somebody to whom the request was handed on.
	HandedOn bool
	// Unanswered says that an attempt was sent to somebody and had no answer for as long as one is waited for.
	Unanswered bool
}

// Call is CallOnward of which only the data is wanted.
func (c *Caller) Call(ctx context.Context, q Outgoing) ([]byte, error) {
	answer, err := c.CallOnward(ctx, q)
	return answer.Data, err
}

// CallOnward sends q and returns the success reply, whoever it comes from. ctx must have a deadline; what is left of it, less a
// small shave, goes along as wire.HeaderBudget. Every error is a *wire.Error: the peer's own when it answered with one,
// else o.Unavailable, wire.OutOfTime, wire.BadReply, or wire.Internal for what can never be sent.
//
// The request must be idempotent: it is sent again, at most twice and within the budget and the retry budget, when no
// answer came within SecondAttempt of what was left, or when a replica answered with transient trouble, which another
// may not have. The first good reply or definite error wins. A request that met no responder is sent again after a
// short pause as long as the budget lasts; that costs no neighbour anything.
func (c *Caller) CallOnward(ctx context.Context, q Outgoing) (Answer, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return Answer{}, wire.Fail(wire.Internal, "a call without a deadline", nil)
	}
	p := c.inbox.open()
	defer c.inbox.close(p)
	c.silence.called()
	c.trouble.called()
	c.calls.Add(1)
	k := &call{caller: c, pending: p, request: q, deadline: deadline, pause: firstPause}
	if k.span = trace.FromContext(ctx).Call("call "+c.options.Neighbour, q.Subject); k.span != nil {
		defer k.endSpan()
	}
	data, err := k.run(ctx)
	return Answer{Data: data, HandedOn: k.handedOn, Unanswered: k.unanswered}, err
}

// call is one Call under way.
type call struct {
	caller   *Caller
	pending  *pending
	request  Outgoing
	deadline time.Time

	// attempts were sent, of which outstanding may still be answered.
	attempts, outstanding int
	// last is the transient trouble met last.
	last *wire.Error
	// sendAt is when to send again; zero for not at all.
	sendAt time.Time
	// freeRetry says that sending again costs the neighbour nothing, because nobody got the attempt before.
	freeRetry bool
	// answered says that it is an answer, of trouble, after which it is sent again.
	answered bool
	pause    time.Duration
	// handedOn says that the call ended with an answer of somebody to whom it was handed on.
	handedOn bool
	// unanswered says that an attempt had no answer when it was time for the next, or for the end.
	unanswered bool
	span       *trace.Span // nil while tracing is off
}

func (k *call) endSpan() {
	k.span.Count("attempts", k.attempts)
	if k.last != nil {
		k.span.Set("trouble", k.last.Code.String())
	}
	k.span.End()
}

func (k *call) run(ctx context.Context) ([]byte, error) {
	if fail := k.send(time.Now()); fail != nil {
		return nil, fail
	}
	timer := time.NewTimer(k.untilNext(time.Now()))
	defer timer.Stop()
	for {
		select {
		case m := <-k.pending.replies:
			handedOn := strings.HasSuffix(m.Subject, wire.HandedOnReply)
			if handedOn && !k.request.Onward {
				continue
			}
			data, fail, done := k.judge(m)
			if done {
				k.handedOn = handedOn
				if fail != nil {
					return nil, fail
				}
				return data, nil
			}
		case <-timer.C:
		case <-done(ctx):
			return nil, k.failed()
		}
		now := time.Now()
		if !now.Before(k.deadline) {
			return nil, k.failed()
		}
		if !k.sendAt.IsZero() && !now.Before(k.sendAt) {
			if fail := k.sendAgain(now); fail != nil {
				return nil, fail
			}
		}
		if k.outstanding == 0 && k.sendAt.IsZero() {
			return nil, k.failed()
		}
		timer.Reset(k.untilNext(now))
	}
}

// done returns ctx.Done, but nothing for a handler's own context, whose end is the deadline that the timer watches.
func done(ctx context.Context) <-chan struct{} {
	if _, own := ctx.(*deadlineContext); own {
		return nil
	}
	return ctx.Done()
}

func (k *call) untilNext(now time.Time) time.Duration {
	if !k.sendAt.IsZero() && k.sendAt.Before(k.deadline) {
		return k.sendAt.Sub(now)
	}
	return k.deadline.Sub(now)
}

// failed is the error of a call that got no usable answer.
func (k *call) failed() *wire.Error {
	k.unanswered = k.unanswered || k.outstanding > 0
	if k.last != nil {
		return k.last
	}
	return wire.Fail(k.caller.options.Unavailable, "no answer from "+k.request.Subject, nil)
}

// sendAgain makes a further attempt if the retry budget allows one.
func (k *call) sendAgain(now time.Time) *wire.Error {
	k.unanswered = k.unanswered || k.outstanding > 0
	k.sendAt = time.Time{}
	budget := k.caller.silence
	if k.answered {
		budget, k.answered = k.caller.trouble, false
	}
	if !k.freeRetry && (k.attempts >= maxAttempts || !budget.take()) {
		return nil
	}
	k.freeRetry = false
	k.caller.again.Add(1)
	return k.send(now)
}

// send sends the request. It fails when there is no time left or the request can never be sent.
func (k *call) send(now time.Time) *wire.Error {
	left := k.deadline.Sub(now) - hopShave
	if left <= 0 {
		if k.last != nil {
			return k.last
		}
		return wire.Fail(wire.OutOfTime, "", nil)
	}
	data := k.request.Data
	if k.attempts > 0 && k.request.Again != nil {
		data = k.request.Again
	}
	m := newMessage(k.request.Subject, k.caller.inbox.prefix+k.pending.id, k.request.ID, left, data)
	k.span.Inject(m.Header)
	err := k.caller.conn.PublishMsg(m)
	switch {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		return wire.Fail(wire.Internal, "send to "+k.request.Subject, err)
	case err != nil:
		k.nobody(now, err)
		return nil
	}
	k.attempts++
	k.outstanding++
	k.sendAt = now.Add(time.Duration(float64(left) * k.caller.options.SecondAttempt))
	return nil
}

// newMessage is an internal request. A receiver takes a budget that is not a duration for none, so what is over goes out
// as 0.
func newMessage(subject, reply, id string, left time.Duration, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Reply: reply, Data: data, Header: nats.Header{
		wire.HeaderBudget:    {strconv.FormatInt(max(0, left.Milliseconds()), 10)},
		wire.HeaderRequestID: {id},
	}}
}

// nobody plans to ask again where nobody got the request.
func (k *call) nobody(now time.Time, cause error) {
	k.last = wire.Fail(k.caller.options.Unavailable, "nobody serves "+k.request.Subject, cause)
	half := k.pause / 2
	k.sendAt = now.Add(half + rand.N(half)) //nolint:gosec // jitter, not a secret
	k.pause = min(2*k.pause, longestPause)
	k.freeRetry = true
}

// judge takes one reply. done says that the call ends with data or fail.
func (k *call) judge(m *nats.Msg) (data []byte, fail *wire.Error, done bool) {
	if len(m.Header) == 0 {
		if len(m.Data) > k.caller.options.MaxReplyBytes {
			return nil, wire.Fail(wire.BadReply, k.request.Subject+": longer than "+strconv.Itoa(k.caller.options.MaxReplyBytes)+" bytes", nil), true
		}
		return m.Data, nil, true
	}
	k.outstanding--
	switch status := m.Header.Get(statusHeader); {
	case len(m.Data) > 0:
	case status == noResponders:
		k.attempts--
		if k.outstanding <= 0 {
			k.nobody(time.Now(), nats.ErrNoResponders)
		}
		return nil, nil, false
	}
	fail = errorReply(m)
	if fail == nil {
		return k.judge(&nats.Msg{Data: m.Data})
	}
	if fail.Code.Class() == wire.Definite {
		return nil, fail, true
	}
	k.last = fail
	switch {
	case fail.Code == wire.OutOfTime:
		// The replica used up what there was.
		if k.outstanding <= 0 {
			k.sendAt = time.Time{}
		}
	case k.attempts < maxAttempts:
		k.sendAt, k.answered = time.Now(), true
	default:
		k.sendAt = time.Time{}
	}
	return nil, nil, false
}

// A reply of nats-server itself has this header, and this value when nobody subscribes.
const (
	statusHeader = "Status"
	noResponders = "503"
)

// errorReply returns the error that m carries, nil when it is a success reply with headers.
func errorReply(m *nats.Msg) *wire.Error {
	header := m.Header.Get(wire.HeaderErrorCode)
	if header == "" && m.Header.Get(wire.HeaderError) == "" {
		return nil
	}
	if body, err := wire.Decode[wire.Error](m.Data, maxErrorBytes); err == nil && body.Code > 0 && strconv.Itoa(int(body.Code)) == header {
		return body
	}
	code, err := strconv.Atoi(header)
	if err != nil || code <= 0 {
		return wire.Fail(wire.BadReply, "an error reply without a code", nil)
	}
	return wire.Fail(wire.Code(code), "", nil)
}
