package policy

import (
	"bytes"
	"context"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy/bucket"
)

// KVConfig names the key that holds the rules.
type KVConfig struct {
	// Bucket is a JetStream key-value bucket in the services' account, which no device may share: who may have JetStream answer
	// there can write it. It is not made here.
	Bucket string `yaml:"bucket"`
	// Key holds the text of the rules file. Default rules.
	Key string `yaml:"key"`
}

// kvSource offers every revision of one key to a store. Its generation is the bucket's revision, the same at every
// replica.
type kvSource struct {
	KVConfig
	js    jetstream.JetStream
	store *store
	tried uint64        // revision
	text  []byte        // of it
	read  chan struct{} // closed when what was there at the start is in force
	once  sync.Once
}

// run watches until ctx ends.
func (k *kvSource) run(ctx context.Context) {
	(&bucket.Follower{JS: k.js, Bucket: k.Bucket, Keys: k.Key, Begin: func() {}, Each: k.offer, Log: k.store.log}).Run(ctx)
}

func (k *kvSource) offer(e jetstream.KeyValueEntry) {
	if e == nil {
		k.once.Do(func() { close(k.read) })
		return
	}
	if e.Revision() == k.tried && bytes.Equal(e.Value(), k.text) {
		return // seen before the watch was started anew
	}
	k.tried, k.text = e.Revision(), e.Value()
	if e.Operation() != jetstream.KeyValuePut {
		k.store.log.Error("the policy was deleted from its bucket; the last good one stays in force", zap.Uint64("revision", e.Revision()))
		return
	}
	if err := k.store.take(k.Bucket+"/"+k.Key, e.Value(), e.Revision()); err != nil {
		k.store.log.Error("the policy in the bucket is broken; the last good one stays in force", zap.Uint64("revision", e.Revision()), zap.Error(err))
	}
}
