package callout

import (
	"testing"
	"testing/synctest"
	"time"
)

// step is one look at a pause: what over says, and what the login that tries says of its trial.
func (p *pause) step(t *testing.T, want, wantTry bool) trial {
	t.Helper()
	ok, try := p.over()
	if ok != want || (ok && try != 0) != wantTry {
		t.Errorf("asked to hand on: %t, as a trial: %t; want %t, %t", ok, try != 0, want, wantTry)
	}
	return try
}

func TestPause(t *testing.T) {
	for name, after := range map[string]func(*testing.T, *pause, trial){
		"the trial is answered": func(t *testing.T, p *pause, try trial) {
			p.end(try)
			p.step(t, true, false)
		},
		"the trial says nothing": func(t *testing.T, p *pause, try trial) {
			p.next(try)
			p.step(t, true, true)
			p.step(t, false, false)
		},
		"the trial meets silence": func(t *testing.T, p *pause, _ trial) {
			p.extend(afterSilence)
			p.step(t, false, false)
			time.Sleep(afterSilence)
			p.step(t, true, true)
		},
		"nothing becomes of the trial": func(t *testing.T, p *pause, _ trial) {
			time.Sleep(afterSilence)
			p.step(t, true, true)
		},
		"another extends it before the trial is answered": func(t *testing.T, p *pause, try trial) {
			p.extend(afterEarlierRelease)
			p.end(try)
			p.next(try)
			p.step(t, false, false)
			time.Sleep(afterEarlierRelease)
			p.step(t, true, true)
		},
		"a login of before the pause is answered": func(t *testing.T, p *pause, _ trial) {
			p.end(0)
			p.next(0)
			p.step(t, false, false)
		},
		"a shorter one does not end a longer one": func(t *testing.T, p *pause, _ trial) {
			p.extend(afterEarlierRelease)
			p.extend(afterSilence)
			time.Sleep(2 * afterSilence)
			p.step(t, false, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pause{since: time.Now()}
				p.step(t, true, false)
				p.extend(afterSilence)
				p.step(t, false, false)
				time.Sleep(afterSilence)
				try := p.step(t, true, true)
				p.step(t, false, false) // one alone
				after(t, p, try)
			})
		})
	}
}
