package natsx

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// endpoint runs the handlers of one Endpoint. micro calls it for one request after the other; it only hands over.
type endpoint struct {
	name         string
	conn         *Conn
	log          *zap.Logger
	budget       func(*Request) time.Duration
	do           func(context.Context, *Request)
	giveUp       func(*Request, *wire.Error)
	trace        *trace.Tracer // nil for off
	spanName     string
	anyReply     bool
	strayed      rate.Sometimes // for the log of requests that name no inbox
	tally        tally
	crew         *crew
	subscription atomic.Pointer[nats.Subscription]

	// mu guards what follows, for the time of one decision.
	mu        sync.Mutex
	admission *admission
	// sweep looks for waiting requests whose time no longer suffices; it runs at sweepAt unless that is zero.
	sweep   *time.Timer
	sweepAt time.Time
	// unsorted are requests whose source is not known yet, oldest first; sorting says that sort runs.
	unsorted       []*Request
	unsortedWeight int
	sorting        bool
	// owed counts what goes on beside handlers and waiting requests and has to end before the endpoint is idle: requests
	// on their way to giveUp, and sort.
	owed int
	// lost is how many messages were dropped, as of the last look.
	lost uint64
	// idle is closed when nothing runs, waits or is owed; nil unless somebody waits for that.
	idle chan struct{}
}

func newEndpoint(c *Conn, config *Endpoint, log *zap.Logger) *endpoint {
	e := &endpoint{name: config.Name, conn: c, log: log, budget: config.Budget, do: config.Handle, giveUp: config.GiveUp}
	if e.budget == nil {
		e.budget = headerBudget
	}
	if e.giveUp == nil {
		e.giveUp = e.failGivenUp
	}
	e.anyReply, e.strayed = config.AnyReply, rate.Sometimes{First: 1, Interval: time.Minute}
	e.crew = newCrew(e.work)
	e.admission = newAdmission(orDefault(config.MaxInFlight, DefaultMaxInFlight), orDefault(config.MaxWaiting, DefaultMaxWaiting), e.guarded(config.Source))
	return e
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Handle implements micro.Handler.
func (e *endpoint) Handle(m micro.Request) {
	now := time.Now()
	if e.subscription.Load() == nil {
		if msg := messageOf(m); msg != nil {
			e.subscription.Store(msg.Sub)
		}
	}
	header := m.Headers()
	r := &Request{
		ID: header.Get(wire.HeaderRequestID), Subject: m.Subject(), Data: m.Data(), Header: header,
		Received: now, started: now, reply: m.Reply(), endpoint: e, weight: weigh(len(m.Data())),
	}
	if r.ID == "" || len(r.ID) > maxRequestID {
		r.ID = nuid.Next()
	}
	if !e.mayAnswer(r) {
		return
	}
	r.budget = e.budget(r)
	r.deadline = now.Add(r.budget)
	r.context.deadline = r.deadline
	e.takeIn(r, now)
}

// takeIn has r admitted. Where it is likely to wait, sort finds out first whose it is; when that falls behind, the dispatcher
// does it itself, so that none is turned away before its source is known.
func (e *endpoint) takeIn(r *Request, now time.Time) {
	e.mu.Lock()
	full := e.admission.full()
	behind := e.unsortedWeight >= maxUnsorted
	if full && !behind && e.admission.source != nil {
		e.unsorted = append(e.unsorted, r)
		e.unsortedWeight += r.weight
		if !e.sorting {
			e.sorting = true
			e.owed++
			go e.sort()
		}
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	if full {
		e.admission.place(r)
	}
	e.admit([]*Request{r}, now)
}

// admit starts the requests, has them wait or gives them up. It uses list as its own.
func (e *endpoint) admit(list []*Request, now time.Time) {
	var gone []givenUp
	e.mu.Lock()
	start := list[:0]
	for _, r := range list {
		run, out := e.admission.offer(r, now)
		switch turnedAway := len(out) == 1 && out[0].request == r; {
		case run:
			start = append(start, r)
		case !turnedAway: // it waits
			e.arm(r.deadline.Add(-e.admission.limit.need(r.budget)), now)
		}
		gone = append(gone, out...)
	}
	e.owed += len(gone)
	e.mu.Unlock()
	for _, r := range start {
		e.crew.start(r)
	}
	e.letGo(gone)
}

// work runs the handler of r, and then of what waits.
func (e *endpoint) work(r *Request) {
	for r != nil {
		e.handle(r)
		now := time.Now()
		answered := r.answered.Load()
		e.tally.took(now.Sub(r.started))

		e.mu.Lock()
		next, gone := e.admission.done(r, answered, now)
		e.owed += len(gone)
		e.checkIdle()
		e.mu.Unlock()

		r = nil
		for i, n := range next {
			if i == 0 {
				r = n
			} else {
				e.crew.start(n)
			}
		}
		e.letGo(gone)
	}
}

// handle runs the handler once; a panic is an answer of its own, not the end of the process.
func (e *endpoint) handle(r *Request) {
	defer r.context.end(context.Canceled)
	var ctx context.Context
	ctx, r.span = e.trace.Serve(&r.context, e.spanName, r.Subject, r.Header)
	defer r.span.End()
	defer func() {
		if p := recover(); p != nil {
			e.logPanic("a handler", r, p)
			if err := r.Fail(wire.Fail(wire.Internal, "", fmt.Errorf("panic: %v", p))); err != nil {
				e.log.Warn("the answer could not be sent", zap.Error(err))
			}
		}
	}()
	e.do(ctx, r)
}

// letGo gives up requests that were counted in owed.
func (e *endpoint) letGo(gone []givenUp) {
	if len(gone) == 0 {
		return
	}
	for _, g := range gone {
		e.tally.gaveUp(g.code)
		e.letGoOf(g)
	}
	e.mu.Lock()
	e.settle(len(gone))
	e.mu.Unlock()
}

// failGivenUp answers a request that was not taken on. It is not logged: there may be thousands in a second, and they are
// counted.
func (e *endpoint) failGivenUp(r *Request, fail *wire.Error) {
	_ = r.Fail(fail)
}

// arm has the waiting requests looked through at t, unless they will be earlier. e.mu is held.
func (e *endpoint) arm(t, now time.Time) {
	if !e.sweepAt.IsZero() && !t.Before(e.sweepAt) {
		return
	}
	e.sweepAt = t
	if e.sweep == nil {
		e.sweep = time.AfterFunc(t.Sub(now), e.sweepWaiting)
		return
	}
	e.sweep.Reset(t.Sub(now))
}

// sweepInterval keeps the looking through from running for every single request of a burst.
const sweepInterval = 5 * time.Millisecond

func (e *endpoint) sweepWaiting() {
	now := time.Now()
	e.mu.Lock()
	gone, wait := e.admission.expire(now)
	e.sweepAt = time.Time{}
	if wait > 0 {
		e.arm(now.Add(max(wait, sweepInterval)), now)
	}
	e.owed += len(gone)
	e.mu.Unlock()
	e.letGo(gone)
}

// count adds one error to micro's statistics of this endpoint.
func (e *endpoint) count(fail *wire.Error) {
	sub := e.subscription.Load()
	if handler := e.conn.ErrorHandler(); sub != nil && handler != nil {
		handler(e.conn.Conn, sub, &counted{fail.Code.String()})
	}
}

func (e *endpoint) publish(m *nats.Msg) error {
	if m.Subject == "" {
		return nats.ErrMsgNoReply
	}
	return e.conn.PublishMsg(m)
}
