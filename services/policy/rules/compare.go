package rules

import (
	"fmt"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// Difference is what one identity would gain or lose by another policy.
type Difference struct {
	// Outcome is empty when both admit or both refuse with the same reason.
	Outcome string
	// Admits says that the newer policy alone admits.
	Admits bool
	// Rule, Account and Other are empty when they agree, else OLD -> NEW.
	Rule, Account, Other string
	// Gained and Lost are entries as "publish allow SUBJECT".
	Gained, Lost []string
}

// Same says that the device would not notice: it ignores the rule's name.
func (d Difference) Same() bool {
	return d.Outcome == "" && d.Account == "" && d.Other == "" && len(d.Gained)+len(d.Lost) == 0
}

// String is one line for people.
func (d Difference) String() string {
	var parts []string
	for _, p := range []struct{ name, text string }{{"", d.Outcome}, {"rule ", d.Rule}, {"account ", d.Account}, {"", d.Other}} {
		if p.text != "" {
			parts = append(parts, p.name+p.text)
		}
	}
	for _, s := range d.Gained {
		parts = append(parts, "gains "+s)
	}
	for _, s := range d.Lost {
		parts = append(parts, "loses "+s)
	}
	return strings.Join(parts, "; ")
}

// Compare decides q by both policies.
func Compare(older, newer *Policy, q *wire.DecideRequest, c Context) Difference {
	og, of := older.Decide(q, c)
	return CompareDecided(og, of, newer, q, c)
}

// CompareDecided is Compare where the first decision is there already.
func CompareDecided(grant *wire.Grant, fail *wire.Error, newer *Policy, q *wire.DecideRequest, c Context) Difference {
	ng, nf := newer.Decide(q, c)
	var d Difference
	if o, n := outcome(fail), outcome(nf); o != n {
		d.Outcome, d.Admits = o+" -> "+n, nf == nil
	}
	if grant == nil || ng == nil {
		return d
	}
	d.Rule, d.Account = change(grant.Rule, ng.Rule), change(grant.Account, ng.Account)
	d.Other = change(other(grant), other(ng))
	was, is := entries(grant), entries(ng)
	for _, e := range is {
		if !slices.Contains(was, e) {
			d.Gained = append(d.Gained, e)
		}
	}
	for _, e := range was {
		if !slices.Contains(is, e) {
			d.Lost = append(d.Lost, e)
		}
	}
	return d
}

func outcome(fail *wire.Error) string {
	if fail == nil {
		return "admitted"
	}
	return fail.Code.String()
}

func change(from, to string) string {
	if from == to {
		return ""
	}
	return fmt.Sprintf("%q -> %q", from, to)
}

// other is what is neither rule, account nor subject.
func other(g *wire.Grant) string {
	text := fmt.Sprintf("device %s, max_session_s %d", g.Device, g.MaxSessionSeconds)
	if g.Responses != nil {
		text += fmt.Sprintf(", responses %d in %d ms", g.Responses.Max, g.Responses.TTLMillis)
	}
	return text
}

func entries(g *wire.Grant) (out []string) {
	for _, list := range []struct {
		name     string
		subjects []string
	}{
		{"publish allow ", g.Publish.Allow}, {"publish deny ", g.Publish.Deny},
		{"subscribe allow ", g.Subscribe.Allow}, {"subscribe deny ", g.Subscribe.Deny},
	} {
		for _, s := range list.subjects {
			out = append(out, list.name+s)
		}
	}
	return out
}
