package policy

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// KVConfig names the key that holds the rules.
type KVConfig struct {
	// Bucket is a JetStream key-value bucket in the services' account. It is not made here.
	Bucket string `yaml:"bucket"`
	// Key holds the text of the rules file. Default rules.
	Key string `yaml:"key"`
}

// kvRetry is how long a bucket that cannot be watched is left alone.
const kvRetry = 500 * time.Millisecond

// kvSource offers every revision of one key to a store. Its generation is the bucket's revision, the same at every
// replica.
type kvSource struct {
	KVConfig
	js    jetstream.JetStream
	store *store
	tried uint64 // revision
}

// run watches until ctx ends.
func (k *kvSource) run(ctx context.Context) {
	for {
		if err := k.watch(ctx); err != nil && ctx.Err() == nil {
			k.store.log.Warn("the policy's bucket cannot be watched; trying again", zap.String("bucket", k.Bucket), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(kvRetry):
		}
	}
}

func (k *kvSource) watch(ctx context.Context) error {
	kv, err := k.js.KeyValue(ctx, k.Bucket)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, k.Key)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // the server removes it otherwise
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("the watch ended")
			}
			if e != nil {
				k.offer(e)
			}
		}
	}
}

func (k *kvSource) offer(e jetstream.KeyValueEntry) {
	if e.Revision() == k.tried {
		return // seen before the watch was started anew
	}
	k.tried = e.Revision()
	if e.Operation() != jetstream.KeyValuePut {
		k.store.log.Error("the policy was deleted from its bucket; the last good one stays in force", zap.Uint64("revision", e.Revision()))
		return
	}
	if err := k.store.take(k.Bucket+"/"+k.Key, e.Value(), e.Revision()); err != nil {
		k.store.log.Error("the policy in the bucket is broken; the last good one stays in force", zap.Uint64("revision", e.Revision()), zap.Error(err))
	}
}
