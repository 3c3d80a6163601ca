package callout

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// maxUnpublished bounds the records that wait to be published; beyond it they are dropped and counted. The log has every
// one.
const maxUnpublished = 4096

// gather is how long a record waits for others, so that a busy callout sends its records in few and large writes, which nats-server
// reads as such. A process that is killed loses what waits here; the log has every one.
const gather = 50 * time.Millisecond

// publication is one record on its way.
type publication struct {
	outcome string
	at      time.Time
	fields  []zap.Field
}

// publisher publishes decision records on wire.Subjects.Decision, for whoever listens. It never holds up a login: a record
// is handed over without waiting, and nobody waits for a stream that may or may not keep it. Safe for concurrent use.
type publisher struct {
	subjects wire.Subjects
	version  string
	queue    chan publication
	// published counts records sent, dropped those that did not fit or could not be sent.
	published, dropped atomic.Int64
	permission         *natsx.Permission // made by run
}

func newPublisher(subjects wire.Subjects, version string) *publisher {
	return &publisher{subjects: subjects, version: version, queue: make(chan publication, maxUnpublished)}
}

// offer never blocks. It does nothing on nil.
func (p *publisher) offer(outcome string, at time.Time, fields []zap.Field) {
	if p == nil {
		return
	}
	select {
	case p.queue <- publication{outcome, at, fields}:
	default:
		p.dropped.Add(1)
	}
}

// counts are published and dropped.
func (p *publisher) counts() (published, dropped int64) {
	if p == nil {
		return 0, 0
	}
	return p.published.Load(), p.dropped.Load()
}

// run publishes until ctx ends, and then what is left.
func (p *publisher) run(ctx context.Context, conn *natsx.Conn, log *zap.Logger) {
	p.permission = conn.Permission(p.subjects.Decision(""), func(err error, first bool) {
		if first {
			log.Warn("decisions are not published: give this user the permission to publish them, or set publish_decisions to false",
				zap.String("subject", p.subjects.Decision("*")), zap.Error(err))
		}
	})
	encoder := newRecordEncoder()
	for {
		select {
		case r := <-p.queue:
			select {
			case <-time.After(gather):
			case <-ctx.Done():
			}
			p.publish(conn, encoder, r)
			p.publishWaiting(conn, encoder)
		case <-ctx.Done():
			p.publishWaiting(conn, encoder)
			return
		}
	}
}

// publishWaiting publishes the records that wait now.
func (p *publisher) publishWaiting(conn *natsx.Conn, encoder zapcore.Encoder) {
	for range len(p.queue) {
		p.publish(conn, encoder, <-p.queue)
	}
}

func (p *publisher) publish(conn *natsx.Conn, encoder zapcore.Encoder, r publication) {
	if !p.permission.Held() {
		p.dropped.Add(1)
		return
	}
	record, err := encoder.EncodeEntry(zapcore.Entry{Time: r.at}, append(r.fields,
		zap.String(logx.Service, wire.QueueCallout), zap.String(logx.Version, p.version)))
	if err == nil {
		defer record.Free()
		err = conn.PublishMsg(&nats.Msg{Subject: p.subjects.Decision(r.outcome), Data: record.Bytes()})
	}
	if err != nil {
		p.dropped.Add(1)
		return
	}
	p.published.Add(1)
}

// newRecordEncoder writes a record as the log has it, without what belongs to a log entry alone.
func newRecordEncoder() zapcore.Encoder {
	return zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: logx.Time, EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeDuration: zapcore.StringDurationEncoder, SkipLineEnding: true,
	})
}
