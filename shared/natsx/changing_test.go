package natsx_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/natsx"
)

// changing serves a service whose metadata name a generation, which next changes. end ends it; ended has its error.
func changing(t *testing.T, conn *natsx.Conn) (next, end func(), ended <-chan error) {
	t.Helper()
	var generation atomic.Int32
	var stopping atomic.Bool
	changed, serving := make(chan struct{}, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		err := natsx.ServeChanging(ctx, conn, &natsx.Changing{
			Describe: func() natsx.Service {
				return natsx.Service{
					Name: "tokencheck", Version: "1.0.0", Metadata: map[string]string{"generation": strconv.Itoa(int(generation.Load()))},
					Endpoints: []natsx.Endpoint{{
						Name: "check", Subject: "auth.v1.token.check", Queue: "tokencheck",
						Handle: func(_ context.Context, r *natsx.Request) { _ = r.Respond([]byte("good")) },
					}},
				}
			},
			Changed:  changed,
			Serving:  func() { close(serving) },
			Stopping: func() { stopping.Store(true) },
		}, zap.NewNop())
		if err == nil && !stopping.Load() {
			t.Error("nobody was told of the end")
		}
		result <- err
	}()
	<-serving
	next = func() {
		generation.Add(1)
		changed <- struct{}{}
	}
	return next, cancel, result
}

// TestServeChanging: whatever changes, the metadata come to say so, and no request is lost over it.
func TestServeChanging(t *testing.T) {
	s := natstest.Run(t, "")
	next, end, ended := changing(t, connect(t, s, "tokencheck"))
	conn := connect(t, s, "callout")
	calls := caller(t, conn)
	var running sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := calls.Call(within(t, patience), natsx.Outgoing{Subject: "auth.v1.token.check", ID: "id"}); err != nil {
					t.Errorf("lost: %v", err)
					return
				}
			}
		})
	}
	for i := range 5 {
		next()
		natstest.Eventually(t, "the metadata follow", func() bool {
			m, err := conn.Request("$SRV.INFO.tokencheck", nil, patience)
			var info micro.Info
			return err == nil && json.Unmarshal(m.Data, &info) == nil && info.Metadata["generation"] == strconv.Itoa(i+1)
		})
	}
	close(stop)
	running.Wait()
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeChangingWithoutAConnection(t *testing.T) {
	s := natstest.Run(t, "")
	conn := connect(t, s, "tokencheck")
	_, end, ended := changing(t, conn)
	defer end()
	conn.Conn.Close() // not by its owner
	if err := <-ended; !errors.Is(err, natsx.ErrConnectionLost) {
		t.Errorf("%v, want ErrConnectionLost", err)
	}
}
