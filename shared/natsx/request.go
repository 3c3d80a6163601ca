package natsx

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"harmony.internal/authcallout/shared/trace"
	"harmony.internal/authcallout/shared/wire"
)

// Request is one message for an endpoint.
type Request struct {
	ID       string // wire.HeaderRequestID, a new one when the requester sent none
	Subject  string
	Data     []byte // valid until Respond, Fail or HandOn returns
	Header   micro.Headers
	Received time.Time // arrival in this process
	// Kept is what Source found out about the request, for Handle and GiveUp; nil when it was not asked.
	Kept any

	reply    string
	endpoint *endpoint
	context  deadlineContext
	// budget and deadline are what the request came with; started is when its handler was.
	budget   time.Duration
	deadline time.Time
	started  time.Time
	answered atomic.Bool
	// weight is how many ordinary requests it takes the memory of.
	weight int
	// lane is where it would wait, valid once placed.
	lane   int
	placed bool
	span   *trace.Span // nil while tracing is off
}

// maxRequestID bounds an id that the requester chose.
const maxRequestID = 64

// Shorten moves the end of the handler's context to t if that is earlier: what the request turned out to say may leave
// it less time than its budget.
func (r *Request) Shorten(t time.Time) { r.context.shorten(t) }

// Respond sends the success reply. The first of Respond, Fail, HandOn and Count has an effect; one of Respond and HandOn that failed had
// none.
func (r *Request) Respond(data []byte) error {
	if r.answered.Swap(true) {
		return nil
	}
	err := r.endpoint.publish(&nats.Msg{Subject: r.reply, Data: data})
	r.answered.Store(err == nil)
	return err
}

// Fail sends e as the error reply, with micro's error headers, and counts it in the endpoint's statistics.
func (r *Request) Fail(e *wire.Error) error {
	if r.answered.Swap(true) {
		return nil
	}
	r.endpoint.count(e)
	r.span.Fail(e.Code.String())
	body, err := wire.Encode(e)
	if err != nil {
		return err
	}
	return r.endpoint.publish(&nats.Msg{
		Subject: r.reply,
		Header: nats.Header{
			wire.HeaderErrorCode: {strconv.Itoa(int(e.Code))},
			wire.HeaderError:     {e.Reason},
		},
		Data: body,
	})
}

// Count counts e as this request's error without an answer: for a requester that must not get one.
func (r *Request) Count(e *wire.Error) {
	if !r.answered.Swap(true) {
		r.endpoint.count(e)
		r.span.Fail(e.Code.String())
	}
}

// ordinaryBytes is what an ordinary request is shorter than: one with a token of 2 KiB, which nats-server encodes again, has about 4 KiB.
const ordinaryBytes = 6 << 10

// weigh returns the weight of a request of this many bytes. With it the bounds in numbers are bounds of memory: a client may make its
// token as long as nats-server lets it.
func weigh(bytes int) int { return 1 + bytes/ordinaryBytes }

// headerBudget is how long r may take by its own header, DefaultBudget when that is absent or not a duration.
func headerBudget(r *Request) time.Duration {
	text := r.Header.Get(wire.HeaderBudget)
	if text == "" {
		return DefaultBudget
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return DefaultBudget
	}
	return min(time.Duration(ms)*time.Millisecond, maxBudget)
}
