package callout

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
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

// publication is one record on its way. It is encoded, because its fields are parts of the request, with the token.
type publication struct {
	outcome string
	record  *buffer.Buffer
}

// publisher publishes decision records on wire.Subjects.Decision, for whoever listens. It never holds up a login: a record
// is handed over without waiting, and nobody waits for a stream that may or may not keep it. Safe for concurrent use.
type publisher struct {
	subjects wire.Subjects
	version  string
	encoder  zapcore.Encoder
	queue    chan publication
	// published counts records sent, dropped those that did not fit or could not be sent.
	published, dropped atomic.Int64
	permission         atomic.Pointer[natsx.Permission] // nil before run
}

func newPublisher(subjects wire.Subjects, version string) *publisher {
	return &publisher{subjects: subjects, version: version, encoder: newRecordEncoder(), queue: make(chan publication, maxUnpublished)}
}

// offer never blocks. It does nothing on nil.
func (p *publisher) offer(outcome string, at time.Time, fields []zap.Field) {
	if p == nil {
		return
	}
	if len(p.queue) == cap(p.queue) || !p.permitted() {
		p.dropped.Add(1)
		return
	}
	record, err := p.encoder.EncodeEntry(zapcore.Entry{Time: at}, append(fields,
		zap.String(logx.Service, wire.QueueCallout), zap.String(logx.Version, p.version)))
	if err != nil {
		p.dropped.Add(1)
		return
	}
	select {
	case p.queue <- publication{outcome, record}:
	default:
		record.Free()
		p.dropped.Add(1)
	}
}

func (p *publisher) permitted() bool {
	permission := p.permission.Load()
	return permission == nil || permission.Held()
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
	p.permission.Store(conn.Permission(p.subjects.Decision(""), func(err error, first bool) {
		if first {
			log.Warn("decisions are not published: give this user the permission to publish them, or set publish_decisions to false",
				zap.String("subject", p.subjects.Decision("*")), zap.Error(err))
		}
	}))
	for {
		select {
		case r := <-p.queue:
			select {
			case <-time.After(gather):
			case <-ctx.Done():
			}
			p.publish(conn, r)
			p.publishWaiting(conn)
		case <-ctx.Done():
			p.publishWaiting(conn)
			return
		}
	}
}

// publishWaiting publishes the records that wait now.
func (p *publisher) publishWaiting(conn *natsx.Conn) {
	for range len(p.queue) {
		p.publish(conn, <-p.queue)
	}
}

func (p *publisher) publish(conn *natsx.Conn, r publication) {
	defer r.record.Free()
	if !p.permitted() || conn.PublishMsg(&nats.Msg{Subject: p.subjects.Decision(r.outcome), Data: r.record.Bytes()}) != nil {
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
