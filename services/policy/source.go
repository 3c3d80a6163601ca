package policy

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
)

// pollEvery is how often a file is looked at. Looking finds what notifications miss: swapped symbolic links of mounted
// volumes, network file systems, files that were away for a moment.
const pollEvery = 400 * time.Millisecond

// watched is a file whose every new text is offered to take, once two looks in a row have found it: one that is just being
// written may be good so far, with a rule, a denial or a device missing at its end. One goroutine at a time uses it.
type watched struct {
	file config.Path
	what string // in logs
	log  *zap.Logger
	take func(text []byte) error

	tried   string // the text that was offered last, good or not
	next    string // another text that the look before found; valid while changed
	changed bool
	lost    bool
}

// first reads the file for the first time; it must be good.
func (w *watched) first() error {
	text, err := os.ReadFile(string(w.file))
	if err != nil {
		return err
	}
	w.tried = string(text)
	return w.take(text)
}

// run takes over every good change of the file until ctx ends.
func (w *watched) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look reads the file and offers a new text that the look before found too. What is wrong is logged once for each change.
func (w *watched) look() {
	text, err := os.ReadFile(string(w.file))
	if err != nil {
		if !w.lost {
			w.log.Error("the "+w.what+" cannot be read; the last good one stays in force", zap.Error(err))
		}
		w.lost, w.changed = true, false
		return
	}
	w.lost = false
	if string(text) == w.tried {
		w.changed = false
		return
	}
	if !w.changed || string(text) != w.next {
		w.next, w.changed = string(text), true
		return
	}
	w.tried, w.next, w.changed = w.next, "", false
	if err := w.take(text); err != nil {
		w.log.Error("the "+w.what+" is broken; the last good one stays in force", zap.Error(err))
	}
}

// rulesFile offers the rules file to s, and counts.
func rulesFile(file config.Path, s *store) *watched {
	generation := uint64(0)
	return &watched{file: file, what: "rules file", log: s.log, take: func(text []byte) error {
		err := s.take(string(file), text, generation+1)
		if err == nil {
			generation++
		}
		return err
	}}
}
