package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/services/policy/ruletest"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natsx"
)

// target is the file that put reads to find the bucket: nats and policy_kv as in policy.yaml, with the credentials of
// whoever may write. Other keys of policy.yaml are not taken.
type target struct {
	NATS     natsx.Config    `yaml:"nats"`
	PolicyKV policy.KVConfig `yaml:"policy_kv"`
}

// SetDefaults implements config.Checker.
func (t *target) SetDefaults() {
	t.NATS.SetDefaults()
	if t.PolicyKV.Key == "" {
		t.PolicyKV.Key = policy.DefaultKey
	}
}

// Check implements config.Checker.
func (t *target) Check(r *config.Report) {
	t.NATS.Check("nats", r)
	if t.PolicyKV.Bucket == "" {
		r.Errorf("policy_kv.bucket", "is required")
	}
}

func (t *target) system() rules.System {
	return rules.System{SubjectPrefix: t.NATS.SubjectPrefix, Buckets: []string{t.PolicyKV.Bucket}}
}

// putTimeout bounds everything that put does with NATS.
const putTimeout = 15 * time.Second

func put(ctx context.Context, c *call) error {
	file := c.flags.String("config", "", "a `FILE` with nats and policy_kv as in policy.yaml, and the credentials of somebody who may write")
	revision := c.flags.Int64("revision", -1, "write only over this `REVISION`, 0 for none yet; default: the one that is there now")
	if err := c.parse(2); err != nil {
		return err
	}
	if *file == "" {
		return errors.New("-config is required")
	}
	var to target
	if _, err := config.Load(*file, &to); err != nil {
		return err
	}
	text, err := os.ReadFile(c.positional[0])
	if err != nil {
		return err
	}
	if err := c.pass(text, to.system()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	kv, done, err := to.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	if *revision < 0 {
		if *revision, err = current(ctx, kv, to.PolicyKV.Key); err != nil {
			return err
		}
	}
	written, err := write(ctx, kv, to.PolicyKV.Key, text, uint64(*revision)) //nolint:gosec // not negative here
	if err != nil {
		return fmt.Errorf("%s/%s: not written over revision %d; look at what is there now, and put again: %w", to.PolicyKV.Bucket, to.PolicyKV.Key, *revision, err)
	}
	c.print("%s/%s: revision %d\n", to.PolicyKV.Bucket, to.PolicyKV.Key, written)
	return nil
}

// pass refuses a text that does not compile or does not pass its tests.
func (c *call) pass(text []byte, system rules.System) error {
	p, err := c.compileText(c.positional[0], text, system)
	if err != nil {
		return err
	}
	tests, err := os.ReadFile(c.positional[1])
	if err != nil {
		return err
	}
	f, err := ruletest.Parse(c.positional[1], tests)
	if err != nil {
		return err
	}
	result, err := ruletest.Run(c.stdout, p, f, false)
	if err == nil && result.Failed > 0 {
		err = errFailed
	}
	return err
}

func (t *target) open(ctx context.Context) (jetstream.KeyValue, func(), error) {
	conn, err := natsx.Connect(t.NATS, "policy-put", zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	if err := conn.WaitConnected(ctx); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("nats: %w", err)
	}
	js, err := jetstream.New(conn.Conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	kv, err := js.KeyValue(ctx, t.PolicyKV.Bucket)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("bucket %s: %w", t.PolicyKV.Bucket, err)
	}
	return kv, conn.Close, nil
}

// write puts text over a revision, 0 for a key that is not there or was deleted. The server compares and sets: between two people
// who put at once one fails.
func write(ctx context.Context, kv jetstream.KeyValue, key string, text []byte, revision uint64) (uint64, error) {
	if revision == 0 { // a deleted key has a revision, which only Create finds out
		return kv.Create(ctx, key, text)
	}
	return kv.Update(ctx, key, text, revision)
}

// current is the revision of a key, 0 when there is none.
func current(ctx context.Context, kv jetstream.KeyValue, key string) (int64, error) {
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(e.Revision()), nil //nolint:gosec // a stream does not reach 2^63 messages
}
