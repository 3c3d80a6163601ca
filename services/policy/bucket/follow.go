// Package bucket follows a key-value bucket of JetStream for as long as a process lives. It refuses to know what the values
// mean.
package bucket

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// retryEvery is how long a bucket that cannot be watched is left alone.
	retryEvery = 500 * time.Millisecond
	// lookEvery is how often the bucket is looked at beside the watch. A watch goes on where it was after every trouble, and
	// so sees nothing of a bucket that was lost and made anew, whose revisions begin at 1 again; and it takes nats.go up to
	// 20 s to find out that the server that kept its consumer is gone.
	lookEvery = time.Second
	// lookTimeout bounds one look.
	lookTimeout = 2 * time.Second
)

// Follower watches some keys of one bucket. Its callbacks are called by one goroutine.
type Follower struct {
	JS     jetstream.JetStream
	Bucket string
	// Keys are those to watch, wildcards allowed.
	Keys string
	// Begin is called when a watch begins: what was seen before may come again, or be gone.
	Begin func()
	// Each is called with every change, and once with nil after those that were there when the watch began.
	Each func(e jetstream.KeyValueEntry)
	Log  *zap.Logger
}

// Run watches until ctx ends. A trouble is logged once and not at each attempt, and so is its end.
func (f *Follower) Run(ctx context.Context) {
	said := "" // the trouble that was logged last, and has not ended
	var l lag
	var made time.Time // the bucket of the watch before
	for {
		err := f.watch(ctx, &l, &made, func() {
			if said != "" {
				f.Log.Info("the bucket is watched again", zap.String("bucket", f.Bucket))
				said = ""
			}
		})
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said && !errors.Is(err, errBehind) {
			f.Log.Warn("the bucket cannot be watched, what was known stays; trying again", zap.String("bucket", f.Bucket), zap.Error(err))
			said = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryEvery):
		}
	}
}

var (
	errEnded     = errors.New("the watch ended")
	errMadeAnew  = errors.New("it was deleted and made anew")
	errBehind    = errors.New("the watch fell behind")
	errCancelled = errors.New("cancelled")
)

// watch returns why it could not go on. before is when the bucket was made that was watched before; up is called once what was
// there has been read.
func (f *Follower) watch(ctx context.Context, l *lag, before *time.Time, up func()) error {
	kv, err := f.JS.KeyValue(ctx, f.Bucket)
	if err != nil {
		return err
	}
	made, last, err := look(ctx, kv)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, f.Keys)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // the server removes it otherwise
	l.begin(last, !made.Equal(*before))
	*before = made
	f.Begin()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errCancelled
		case e, ok := <-w.Updates():
			if !ok {
				return errEnded
			}
			if e != nil {
				l.brought(e.Revision())
			} else {
				up()
			}
			f.Each(e)
		case <-tick.C:
			at, now, err := look(ctx, kv)
			switch {
			case err != nil: // that says nothing about the bucket: the watch will tell, or a later look
			case !at.Equal(made):
				return errMadeAnew
			case l.behind(now):
				return errBehind
			}
		}
	}
}

// look returns when the bucket was made, and its last revision.
func look(ctx context.Context, kv jetstream.KeyValue) (made time.Time, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return made, 0, err
	}
	s, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return made, 0, errors.New("no stream is behind it")
	}
	return s.StreamInfo().Created, s.StreamInfo().State.LastSeq, nil
}
