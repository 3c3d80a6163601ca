// Package demo is the reference flow for a person to watch: the programs as they are built, devices with tokens of their
// own, and what each of them may and may not do. It decides nothing; it says what happened, and fails where that is not
// what was expected.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Options of one run.
type Options struct {
	// Bin is the directory of the built programs devidp and standalone. Required.
	Bin string
	// Keep leaves everything running until ctx ends, and prints what to try by hand.
	Keep bool
	// Out receives the story.
	Out io.Writer
}

// patience bounds every wait. A machine may be busy.
const patience = 60 * time.Second

// Run starts provider and server in a directory of their own, on free ports of the loopback interface, tells the story and
// stops both. It returns what was not as expected. An end of ctx is no error while all is kept running.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "authcallout-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &stage{Options: o, dir: dir}
	defer func() { err = errors.Join(err, s.stop()) }()

	for _, act := range []func(context.Context) error{s.start, s.pubsub, s.others, s.forged} {
		if err := act(ctx); err != nil {
			return s.explain(err)
		}
	}
	s.say("\nAll of it was as expected.\n")
	if !o.Keep {
		return nil
	}
	return s.keep(ctx)
}

// stage is what one run works with.
type stage struct {
	Options
	dir              string
	provider, server *process
	url              string // of the server
	issuer, project  string // of the provider
}

func (s *stage) say(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format, args...) }

// act begins a part of the story.
func (s *stage) act(title string) { s.say("\n%s\n", title) }

// saw tells one thing that was as expected.
func (s *stage) saw(format string, args ...any) { s.say("  ok  "+format+"\n", args...) }

// aside adds to what was seen.
func (s *stage) aside(format string, args ...any) { s.say("      "+format+"\n", args...) }

// explain adds to an error what the server logged last, because a reason for it is likely there.
func (s *stage) explain(err error) error {
	if s.server == nil {
		return err
	}
	return fmt.Errorf("%w\nthe last that standalone logged:\n%s", err, s.server.log.tail(12))
}

// stop ends the programs in the order in which they need each other.
func (s *stage) stop() error {
	var errs []error
	for _, p := range []*process{s.server, s.provider} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}
