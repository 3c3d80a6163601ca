package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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

// TestEachTroubleIsLogged: the second trouble of a kind is logged as the first was, and the end of each.
func TestEachTroubleIsLogged(t *testing.T) {
	s := natstest.Run(t, fmt.Sprintf("jetstream: {store_dir: %q}", t.TempDir()))
	js, err := jetstream.New(natstest.Connect(t, s))
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	f := &bucket.Follower{
		JS: js, Bucket: "devices", Keys: jetstream.AllKeys, Log: zap.New(core),
		Begin: func() {}, Each: func(jetstream.KeyValueEntry) {},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { f.Run(ctx) })
	natstest.Eventually(t, "the missing bucket is logged", func() bool { return logs.FilterField(zap.Error(jetstream.ErrBucketNotFound)).Len() == 1 })
	again := func(times int) {
		t.Helper()
		natstest.Eventually(t, "the bucket is made", func() bool { // the files of the one before are removed in the background
			_, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "devices"})
			return err == nil
		})
		natstest.Eventually(t, "the bucket is watched", func() bool { return logs.FilterMessage("the bucket is watched again").Len() == times })
	}
	again(1)
	for round := range 2 {
		if err := js.DeleteKeyValue(t.Context(), "devices"); err != nil {
			t.Fatal(err)
		}
		again(round + 2)
		if n := logs.FilterField(zap.Error(errors.New("it was deleted and made anew"))).Len(); n != round+1 {
			t.Errorf("logged %d times that the bucket was made anew, want %d", n, round+1)
		}
	}
}
