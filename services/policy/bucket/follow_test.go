package bucket_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/bucket"
	"harmony.internal/authcallout/shared/natstest"
)

// TestDeliveringIsNotBehind: a watch that is still bringing what was written is not begun anew, which would start with all
// that is in the bucket, and so never end while somebody writes.
func TestDeliveringIsNotBehind(t *testing.T) {
	s := natstest.Run(t, fmt.Sprintf("jetstream: {store_dir: %q}", t.TempDir()))
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "devices"})
	if err != nil {
		t.Fatal(err)
	}
	const entries = 35
	var begun, seen atomic.Int32
	read := make(chan struct{}, entries)
	f := &bucket.Follower{
		JS: js, Bucket: "devices", Keys: jetstream.AllKeys, Log: zap.NewNop(),
		Begin: func() { begun.Add(1) },
		Each: func(e jetstream.KeyValueEntry) {
			if e == nil {
				read <- struct{}{}
				return
			}
			time.Sleep(100 * time.Millisecond) // so that it takes several looks
			seen.Add(1)
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	<-read
	for i := range entries {
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("id.%d", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	natstest.Eventually(t, "everything arrived", func() bool { return seen.Load() >= entries })
	cancel()
	running.Wait()
	if n := begun.Load(); n != 1 {
		t.Errorf("the watch began %d times, want once", n)
	}
}
