package natsx_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
	"harmony.internal/authcallout/shared/wire"
)

// callMany makes n calls at once and wants each to get its own answer, "good N", or an error where bad says so.
func callMany(t *testing.T, calls *natsx.Caller, n int, bad func(i int) wire.Code) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			reply, err := calls.Call(within(t, patience), "auth.v1.token.check", "id"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
			if code := bad(i); code != 0 {
				wantCode(t, err, code)
			} else if err != nil || string(reply) != "good "+strconv.Itoa(i) {
				t.Errorf("%d: %q, %v", i, reply, err)
			}
		})
	}
	all.Wait()
}

func everyTenth(i int) wire.Code {
	if i%10 == 0 {
		return wire.TokenExpired
	}
	return 0
}

func answer(r *natsx.Request) {
	if i, _ := strconv.Atoi(string(r.Data)); r.ID != "id"+string(r.Data) {
		_ = r.Fail(wire.Fail(wire.BadRequest, "id", nil))
	} else if code := everyTenth(i); code != 0 {
		_ = r.Fail(wire.Fail(code, "", nil))
	} else {
		_ = r.Respond(append([]byte("good "), r.Data...))
	}
}

// TestBatch: many calls at once take fewer messages, and each gets its own answer, with the least permissions.
func TestBatch(t *testing.T) {
	top := natstest.Hardened(t, false)
	s := top.Run(t)
	tokencheck := connectWith(t, top.NATS("tokencheck", s), "tokencheck")
	srv := serve(t, tokencheck, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) { answer(r) }})
	conn := connectWith(t, top.NATS("callout", s), "callout")
	before := tokencheck.Stats().InMsgs
	const n = 2000
	callMany(t, caller(t, conn), n, everyTenth)
	if got := tokencheck.Stats().InMsgs - before; got > n/2 {
		t.Errorf("%d messages for %d requests", got, n)
	}
	if err := srv.Drain(within(t, patience)); err != nil {
		t.Error(err)
	}
	for _, c := range []*natsx.Conn{tokencheck, conn} {
		if err := c.LastError(); err != nil {
			t.Errorf("the server refused something: %v", err)
		}
	}
}

// TestFewGoAlone: calls wait for no company while few are on their way.
func TestFewGoAlone(t *testing.T) {
	s := natstest.Run(t, "")
	var held []*nats.Msg
	n := replica(t, s, func(n int32, m *nats.Msg) { // of one subscription: one message after the other
		if m.Header.Get(wire.HeaderBatch) != "" {
			t.Errorf("message %d is a batch", n)
		}
		if held = append(held, m); len(held) < natsx.Uncrowded {
			return
		}
		for _, m := range held {
			respond(m, "good "+string(m.Data))
		}
	})
	callMany(t, caller(t, connect(t, s, "callout")), natsx.Uncrowded, func(int) wire.Code { return 0 })
	if n.Load() != natsx.Uncrowded {
		t.Errorf("%d messages", n.Load())
	}
}

// TestBatchWaitsForNoOne: requests that never end share batches with others, which are answered all the same.
func TestBatchWaitsForNoOne(t *testing.T) {
	s := natstest.Run(t, "")
	release := make(chan struct{})
	var stuck atomic.Int32
	isSlow := func(i int) bool { return i < 100 || i%50 == 49 }
	serving := connect(t, s, "tokencheck")
	serve(t, serving, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) {
		if i, _ := strconv.Atoi(string(r.Data)); isSlow(i) {
			stuck.Add(1)
			<-release
		}
		answer(r)
	}})
	calls := caller(t, connect(t, s, "callout"))
	var slow sync.WaitGroup
	slowCall := func(i int) {
		slow.Go(func() {
			if _, err := calls.Call(within(t, patience), "auth.v1.token.check", "id"+strconv.Itoa(i), []byte(strconv.Itoa(i))); err != nil {
				t.Errorf("slow %d: %v", i, err)
			}
		})
	}
	for i := range natsx.Uncrowded { // from here on calls wait for each other
		slowCall(11 + 2*i)
	}
	natstest.Eventually(t, "they are stuck", func() bool { return stuck.Load() == natsx.Uncrowded })
	before := serving.Stats().InMsgs
	var all sync.WaitGroup
	for i := 100; i < 600; i++ {
		if isSlow(i) {
			slowCall(i)
			continue
		}
		all.Go(func() {
			_, err := calls.Call(within(t, patience), "auth.v1.token.check", "id"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
			if code := everyTenth(i); (code == 0) != (err == nil) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait() // with those that do not end
	if stuck.Load() == natsx.Uncrowded {
		t.Error("nothing else was slow")
	}
	if n := serving.Stats().InMsgs - before; n > 250 {
		t.Errorf("%d messages for 500 requests: few shared one", n)
	}
	close(release)
	slow.Wait()
}

// TestBatchToOneThatKnowsNone: a replica of a release without batches refuses one as it would any bad request.
func TestBatchToOneThatKnowsNone(t *testing.T) {
	s := natstest.Run(t, "")
	var batches atomic.Int32
	messages := replica(t, s, func(_ int32, m *nats.Msg) {
		if strings.Contains(string(m.Data), "\n") {
			batches.Add(1)
			refuse(m, wire.BadRequest)
			return
		}
		respond(m, "good "+string(m.Data))
	})
	callMany(t, caller(t, connect(t, s, "callout")), 300, func(int) wire.Code { return 0 })
	if messages.Load() < 300 || batches.Load() == 0 {
		t.Errorf("%d messages, of which %d batches", messages.Load(), batches.Load())
	}
}

// TestBatchWithoutResponders: nobody serves at first; what was sent in a batch is sent again.
func TestBatchWithoutResponders(t *testing.T) {
	s := natstest.Run(t, "")
	asking := connect(t, s, "callout")
	calls := caller(t, asking)
	conn := connect(t, s, "tokencheck")
	const n = 200
	var called sync.WaitGroup
	called.Go(func() { callMany(t, calls, n, everyTenth) })
	natstest.Eventually(t, "as many are sent again as there are", func() bool { return metric(t, asking, "authcallout_call_retries_total") >= n })
	serve(t, conn, natsx.Endpoint{Handle: func(_ context.Context, r *natsx.Request) { answer(r) }})
	called.Wait()
}

// TestBatchIsLost: the first messages, batches among them, vanish with their replica; each request finds another by itself.
func TestBatchIsLost(t *testing.T) {
	s := natstest.Run(t, "")
	var lost atomic.Int32 // batches
	replica(t, s, func(n int32, m *nats.Msg) {
		switch {
		case n > natsx.Uncrowded+2:
			respond(m, "good "+string(m.Data))
		case m.Header.Get(wire.HeaderBatch) != "":
			lost.Add(1)
		}
	})
	calls := caller(t, connect(t, s, "callout"))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if _, err := calls.Call(within(t, 2*time.Second), "auth.v1.token.check", "id", fmt.Append(nil, i)); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if lost.Load() == 0 {
		t.Error("no batch was lost")
	}
}

// TestBatchRepliesCannotBeForged: who serves one batch cannot answer what is in another, or nowhere.
func TestBatchRepliesCannotBeForged(t *testing.T) {
	s := natstest.Run(t, "")
	var mu sync.Mutex
	seen := map[string]bool{}
	replica(t, s, func(_ int32, m *nats.Msg) {
		items, err := wire.ReadBatchRequests(m.Data)
		if err != nil {
			respond(m, "good "+string(m.Data))
			return
		}
		mu.Lock()
		defer mu.Unlock()
		var out []byte
		for id := range seen { // of earlier batches
			if len(seen) < wire.MaxBatchItems {
				out = wire.AppendBatchReply(out, &wire.BatchReply{ID: id, Body: []byte("forged")})
			}
		}
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(wire.HeaderBatch, "1")
		if reply.Data = out; len(out) > 0 {
			_ = m.RespondMsg(reply)
		}
		for _, item := range items {
			seen[item.ID] = true
			reply.Data = wire.AppendBatchReply(nil, &wire.BatchReply{ID: item.ID, Body: append([]byte("good "), item.Body...)})
			_ = m.RespondMsg(reply)
		}
	})
	callMany(t, caller(t, connect(t, s, "callout")), 200, func(int) wire.Code { return 0 })
}
