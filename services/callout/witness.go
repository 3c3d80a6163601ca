package callout

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// subjectAuthErrors is where nats-server tells the callout's account of logins that failed (server/events.go,
// authErrorAccountEventSubj). The event holds what the client sent, a token too where that came as a JWT: only the
// fields of authErrorEvent are read.
const subjectAuthErrors = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"

// outcomeUnanswered is the record of a login that nats-server gave up and no callout decided: its request never arrived,
// or its answer came too late. It is no outcome of a request.
const outcomeUnanswered = "unanswered"

// What the server says of a login that failed.
const (
	serverTimeout = "timeout" // nothing came in time
	serverRefused = "refused" // the answer said no, or was no good
)

// failedOutcomes are those of logins that a server reports as failed.
var failedOutcomes = [...]string{outcomeDenied, outcomeHungUp, outcomeSilent}

// noDecision stands for the outcome where there is no decision on record.
const noDecision = "none"

const (
	// maxFailures bounds the failed decisions that are remembered, of all replicas.
	maxFailures = 1 << 15
	// maxEvents bounds the events that wait for their decision.
	maxEvents = 1 << 14
	// judgedEarly are at a time: few, so that their records leave room for those of decisions.
	judgedEarly = maxEvents / 64
	// joinPatience is how long an event waits: the record of a decision is published a little after it.
	joinPatience = 3 * time.Second
	joinEvery    = 500 * time.Millisecond
	// unansweredEvery and unansweredBurst bound the log entries; the metric counts them all.
	unansweredEvery = time.Second
	unansweredBurst = 10
)

// attempt names one login.
type attempt struct {
	server string
	cid    uint64
}

// failure is an event that waits for the decision that explains it, until due.
type failure struct {
	authErrorEvent
	due time.Time
}

func (e *authErrorEvent) attempt() attempt { return attempt{e.Server.ID, e.Client.ID} }

// says is serverTimeout or serverRefused. The server gives no reason exactly when nothing came (server/auth_callout.go,
// processClientOrLeafCallout).
func (e *authErrorEvent) says() string {
	if e.Reason == "" {
		return serverTimeout
	}
	return serverRefused
}

// verdict is an event and the decision that explains it.
type verdict struct{ server, decision string }

// witness joins nats-server's own view of failed logins to the decisions of all replicas. Each event goes to one replica;
// each replica knows its own failed decisions and listens to those of the others. Safe for concurrent use.
type witness struct {
	publish *publisher
	log     *zap.Logger
	entries *rate.Limiter
	// conn is where the server tells this replica, nil but while it does; refusedOn the connection on which it refuses to, plus 1.
	conn      atomic.Pointer[natsx.Conn]
	refusedOn atomic.Uint64

	mu       sync.Mutex // guards the rest, held for one event or one look
	failures map[attempt]string
	order    []attempt // ring of the keys of failures, the oldest at next once it is full
	next     int
	events   []failure // oldest first
	verdicts map[verdict]int64
}

func newWitness(publish *publisher, log *zap.Logger) *witness {
	return &witness{
		publish: publish, log: log, entries: rate.NewLimiter(rate.Every(unansweredEvery), unansweredBurst),
		failures: map[attempt]string{}, verdicts: map[verdict]int64{},
	}
}

// run listens and joins until ctx ends.
func (w *witness) run(ctx context.Context, conn *natsx.Conn, subjects wire.Subjects) error {
	conn.OnRefused(subjectAuthErrors, func(err error) {
		if now := conn.Stats().Reconnects + 1; w.refusedOn.Swap(now) != now {
			w.log.Info("nats-server's own view of failed logins is not counted: this user may not subscribe to it",
				zap.String("subject", subjectAuthErrors), zap.Error(err))
		}
	})
	for _, outcome := range failedOutcomes {
		sub, err := hear(conn, subjects.Decision(outcome), "", w.heard)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }() // the connection may be closed by then
	}
	sub, err := hear(conn, subjectAuthErrors, wire.QueueCallout, w.failed)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // as above
	w.conn.Store(conn)
	defer w.conn.Store(nil)
	tick := time.NewTicker(joinEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			w.join(now)
		}
	}
}

// watching says that the server tells this replica. Another connection than the one on which it refuses to may have other permissions; else
// it is refused again.
func (w *witness) watching() bool {
	if w == nil {
		return false
	}
	conn := w.conn.Load()
	return conn != nil && w.refusedOn.Load() != conn.Stats().Reconnects+1
}

// heard remembers a decision of another replica.
func (w *witness) heard(m *nats.Msg) {
	if d, err := readDecision(m.Data); err == nil {
		w.decided(attempt{d.ServerID, d.CID}, d.Outcome)
	}
}

// decided remembers a decision. It does nothing on nil.
func (w *witness) decided(a attempt, outcome string) {
	if w == nil || a.cid == 0 {
		return // a request that was not opened names no connection
	}
	for _, failed := range failedOutcomes {
		if outcome == failed {
			w.remember(a, failed)
		}
	}
}

func (w *witness) remember(a attempt, outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.server = strings.Clone(a.server) // not with the message that it is a part of; a map may replace a key that it has
	if _, known := w.failures[a]; !known {
		if len(w.order) < maxFailures {
			w.order = append(w.order, a)
		} else {
			delete(w.failures, w.order[w.next])
			w.order[w.next] = a
			w.next = (w.next + 1) % maxFailures
		}
	}
	w.failures[a] = outcome
}

// failed takes an event in. When too many wait, the oldest are judged before their time.
func (w *witness) failed(m *nats.Msg) {
	e, err := readAuthError(m.Data)
	if err != nil || e.Client.ID == 0 {
		return
	}
	now := time.Now()
	w.mu.Lock()
	var early []failure
	if outcome, known := w.failures[e.attempt()]; known {
		w.verdicts[verdict{e.says(), outcome}]++
	} else {
		if len(w.events) == maxEvents {
			early = w.judge(judgedEarly)
		}
		w.events = append(w.events, failure{e.clone(), now.Add(joinPatience)})
	}
	w.mu.Unlock()
	w.tell(early, now)
}

// join judges the events that have waited long enough.
func (w *witness) join(now time.Time) {
	w.mu.Lock()
	due := 0
	for due < len(w.events) && !w.events[due].due.After(now) {
		due++
	}
	unexplained := w.judge(due)
	w.mu.Unlock()
	w.tell(unexplained, now)
}

// judge takes the n oldest events out, counts them, and returns those without a decision. w.mu is held.
func (w *witness) judge(n int) (unexplained []failure) {
	for _, e := range w.events[:n] {
		outcome, known := w.failures[e.attempt()]
		if !known {
			outcome = noDecision
			unexplained = append(unexplained, e)
		}
		w.verdicts[verdict{e.says(), outcome}]++
	}
	w.events = slices.Delete(w.events, 0, n)
	return unexplained
}

// tell logs and publishes events without a decision.
func (w *witness) tell(unexplained []failure, now time.Time) {
	for _, e := range unexplained {
		fields := []zap.Field{
			zap.String(logx.Outcome, outcomeUnanswered), zap.String(logx.Detail, e.says()), zap.String(logx.ServerID, text(e.Server.ID)),
			zap.String(logx.ServerName, text(e.Server.Name)), zap.String(logx.ClientHost, text(e.Client.Host)), zap.Uint64(logx.ClientID, e.Client.ID),
			zap.String(logx.ClientKind, text(e.Client.Kind)), zap.String(logx.ClientType, text(e.Client.Type)),
		}
		if w.entries.AllowN(now, 1) {
			w.log.Warn("nats-server gave up a login that no callout decided", fields...)
		}
		w.publish.offer(outcomeUnanswered, now, fields)
	}
}

// counts returns a copy of what was judged.
func (w *witness) counts() map[verdict]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.verdicts)
}
