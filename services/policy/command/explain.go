package command

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"harmony.internal/authcallout/services/policy"
	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/wire"
)

// subjects is a flag that may be given several times.
type subjects []string

func (s *subjects) String() string         { return strings.Join(*s, ",") }
func (s *subjects) Set(value string) error { *s = append(*s, value); return nil }

func explain(_ context.Context, c *call) error {
	var publish, subscribe subjects
	c.flags.Var(&publish, "publish", "a `SUBJECT`: may it be published? Several times for several")
	c.flags.Var(&subscribe, "subscribe", "a `SUBJECT`: may it be subscribed to? Several times for several")
	devices := c.registryFlag()
	if err := c.parse(2); err != nil {
		return err
	}
	p, err := c.compile(c.positional[0])
	if err != nil {
		return err
	}
	data, err := os.ReadFile(c.positional[1])
	if err != nil {
		return err
	}
	q, err := policy.ReadExplainRequest(data)
	if err != nil {
		return fmt.Errorf("%s: %w", c.positional[1], err)
	}
	if q.Error != nil {
		c.print("the token is refused: %v\n", q.Error)
		return errFailed
	}
	known, err := devices.open()
	if err != nil {
		return err
	}
	at, fail := known.context(&q.DecideRequest)
	if fail != nil {
		return fail
	}
	e := p.Explain(&q.DecideRequest, at)
	if e.Grant != nil {
		if e.Error = known.would(&q.DecideRequest, e.Grant.Device); e.Error != nil {
			e.Grant = nil
		}
	}
	c.printExplanation(e)
	if e.Grant == nil {
		return errFailed
	}
	c.answers("publish", e.Grant.Publish, publish)
	c.answers("subscribe", e.Grant.Subscribe, subscribe)
	return nil
}

func (c *call) printExplanation(e *rules.Explanation) {
	for _, r := range e.Rules {
		c.print("rule %-20s %s\n", r.Name, r.Result)
		if r.Result != rules.NotReached {
			c.print("     when %s\n", r.When)
		}
		for _, part := range r.False {
			c.print("     does not hold: %s\n", part)
		}
		if r.Problem != "" {
			c.print("     %s\n", r.Problem)
		}
	}
	for _, v := range e.Variables {
		if v.Problem != "" {
			c.print("variable %-16s %s\n", v.Name, v.Problem)
		} else {
			c.print("variable %-16s %s, from %s\n", v.Name, strings.Join(v.Values, ", "), v.Origin)
		}
	}
	if e.Error != nil {
		c.print("refused: %v\n", e.Error)
		return
	}
	g := e.Grant
	c.print("admitted by rule %s, device %q, account %q\n", g.Rule, g.Device, g.Account)
	for _, list := range []struct {
		name     string
		subjects []string
	}{
		{"publish   allow", g.Publish.Allow}, {"publish   deny ", g.Publish.Deny},
		{"subscribe allow", g.Subscribe.Allow}, {"subscribe deny ", g.Subscribe.Deny},
	} {
		for _, s := range list.subjects {
			c.print("     %s %s\n", list.name, s)
		}
	}
	if g.MaxSessionSeconds > 0 {
		c.print("     session of at most %s\n", time.Duration(g.MaxSessionSeconds)*time.Second)
	}
}

func (c *call) answers(verb string, side wire.Permissions, asked []string) {
	for _, s := range asked {
		word := "no"
		may, why := rules.May(side, s)
		if may {
			word = "yes"
		}
		c.print("may it %s %s? %s: %s\n", verb, s, word, why)
	}
}
