package callout

import (
	"maps"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Outcomes of a request, as the record and the statistics name them.
const (
	outcomeAdmitted = "admitted"
	outcomeDenied   = "denied"          // told so, definitely
	outcomeHungUp   = "hung_up"         // transient trouble: the server was asked to close the connection
	outcomeSilent   = "silent"          // transient trouble, and no right to hang up
	outcomeRefused  = "refused_request" // the request itself did not verify
)

// decision is what became of one request: filled step by step, written once (DESIGN P11).
type decision struct {
	id       string
	start    time.Time
	last     time.Time // end of the step before
	outcome  string
	fail     *wire.Error // nil for admitted
	request  *authRequest
	verified *wire.Verified
	grant    *wire.Grant
	expires  time.Time // end of the session

	openTime, tokenTime, policyTime, mintTime time.Duration

	span *trace.Span // nil while tracing is off
}

// stepDone stores the time since the step before.
func (d *decision) stepDone(into *time.Duration) {
	now := time.Now()
	*into = now.Sub(d.last)
	d.last = now
}

// handedOn shares the time of a token that was handed on out between tokencheck, which says how long it took, and policy.
func (d *decision) handedOn(checkMicros int64) {
	total := d.tokenTime
	d.tokenTime = time.Duration(min(max(0, checkMicros), total.Microseconds())) * time.Microsecond
	d.policyTime = total - d.tokenTime
}

// recorder writes decision records and counts them. Safe for concurrent use.
type recorder struct {
	log     *zap.Logger
	timing  *timing
	publish *publisher // nil for none
	witness *witness   // nil for none

	mu    sync.Mutex // guards ended, held for one increment or one copy
	ended map[ending]int64
}

func newRecorder(log *zap.Logger, publish *publisher, w *witness) *recorder {
	return &recorder{log: log, timing: newTiming(), publish: publish, witness: w, ended: map[ending]int64{}}
}

// write counts d, logs it (what the system did at info, what it could not do at warn) and hands it to the witness and the publisher.
func (r *recorder) write(d *decision) {
	now := time.Now()
	r.count(d)
	r.timing.observe(d, now.Sub(d.start))
	fields := d.fields()
	switch d.outcome {
	case outcomeAdmitted, outcomeDenied:
		r.log.Info("decision", fields...)
	default:
		r.log.Warn("decision", fields...)
	}
	if d.request != nil {
		r.witness.decided(attempt{d.request.ServerID, d.request.Client.ID}, d.outcome)
	}
	r.publish.offer(d.outcome, now, fields)
	d.describeSpan()
}

// ending is how a request may end: one of a bounded number of pairs, whatever the neighbours answer.
type ending struct {
	outcome string
	reason  string // empty when it was admitted, unknownReason for a code that this release does not know
}

const unknownReason = "unknown"

func (r *recorder) count(d *decision) {
	e := ending{outcome: d.outcome}
	if d.fail != nil {
		e.reason = unknownReason
		if reason, known := d.fail.Code.Reason(); known {
			e.reason = reason.Name
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[e]++
}

// endings returns a copy of what was counted.
func (r *recorder) endings() map[ending]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ended)
}

// counts sums up by outcome and by reason.
func (r *recorder) counts() (outcomes, reasons map[string]int64) {
	outcomes, reasons = map[string]int64{}, map[string]int64{}
	for e, n := range r.endings() {
		outcomes[e.outcome] += n
		if e.reason != "" {
			reasons[e.reason] += n
		}
	}
	return outcomes, reasons
}

// fields is the record. It holds no token: of the request only the description of the connection, of the token only what
// tokencheck verified.
func (d *decision) fields() []zap.Field {
	f := make([]zap.Field, 0, 32)
	f = append(f, zap.String(logx.Outcome, d.outcome), zap.String(logx.RequestID, text(d.id)))
	if d.fail != nil {
		f = append(f, zap.Int(logx.Code, int(d.fail.Code)), zap.String(logx.Reason, d.fail.Code.String()))
		if d.fail.Detail != "" {
			f = append(f, zap.String(logx.Detail, text(d.fail.Detail)))
		}
		if d.fail.Cause != nil {
			f = append(f, zap.Error(d.fail.Cause))
		}
	}
	if d.request != nil {
		f = appendRequest(f, d.request)
	}
	if v := d.verified; v != nil {
		f = append(f, zap.String(logx.Issuer, text(v.Issuer)), zap.String(logx.Subject, text(v.Subject)), zap.String(logx.KeyID, text(v.KeyID)))
	}
	if d.verified == nil && d.fail != nil && d.fail.Token != nil {
		n := d.fail.Token
		f = append(f, zap.String(logx.Check, text(n.Check)), zap.String(logx.Issuer, text(n.Issuer)), zap.String(logx.KeyID, text(n.KeyID)))
	}
	if g := d.grant; g != nil {
		f = append(f, zap.String(logx.Rule, text(g.Rule)), zap.String(logx.Device, text(g.Device)), zap.String(logx.Account, text(g.Account)),
			zap.Uint64(logx.PolicyGeneration, g.PolicyGeneration), zap.String(logx.PolicyHash, text(g.PolicyHash)))
	}
	if d.grant == nil && d.fail != nil && d.fail.Policy != nil {
		n := d.fail.Policy
		f = append(f, zap.String(logx.Rule, text(n.Rule)), zap.String(logx.Device, text(n.Device)),
			zap.Uint64(logx.PolicyGeneration, n.Generation), zap.String(logx.PolicyHash, text(n.Hash)))
	}
	if !d.expires.IsZero() {
		f = append(f, zap.Time(logx.Expires, d.expires))
	}
	return append(f, millis(logx.OpenMS, d.openTime), millis(logx.TokenMS, d.tokenTime), millis(logx.PolicyMS, d.policyTime),
		millis(logx.MintMS, d.mintTime), millis(logx.TotalMS, time.Since(d.start)))
}

func appendRequest(f []zap.Field, q *authRequest) []zap.Field {
	c := &q.Client
	f = append(f, zap.String(logx.ServerID, q.ServerID), zap.String(logx.ServerName, text(c.ServerName)),
		zap.String(logx.ClientHost, text(c.Host)), zap.Uint64(logx.ClientID, c.ID),
		zap.String(logx.ClientKind, text(c.Kind)), zap.String(logx.ClientType, text(c.Type)))
	for _, chosen := range []struct{ name, value string }{
		{logx.ClientName, c.Name}, {logx.ClientUser, c.User}, {logx.MQTTClientID, c.MQTTClientID},
	} {
		if chosen.value != "" {
			f = append(f, zap.String(chosen.name, text(chosen.value)))
		}
	}
	return f
}

func millis(name string, d time.Duration) zap.Field {
	return zap.Float64(name, float64(d.Microseconds())/1000)
}

// text returns s bounded and with everything that is not printable replaced: terminals and log readers act on control
// and direction characters.
func text(s string) string {
	s = clip(s)
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return printable(s)
		}
	}
	return s
}

func printable(s string) string {
	runes := []rune(s)
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = '\uFFFD'
		}
	}
	return string(runes)
}
