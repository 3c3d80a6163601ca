package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// Explanation is how a decision came about.
type Explanation struct {
	// Rules are all rules in their order.
	Rules []RuleExplanation `json:"rules"`
	// Variables are those that were looked at, by name.
	Variables []VariableExplanation `json:"variables,omitempty"`
	// Grant is the outcome, or Error is.
	Grant *wire.Grant `json:"grant,omitempty"`
	Error *wire.Error `json:"error,omitempty"`
	// PolicyHash names the text that decided.
	PolicyHash string `json:"policy_hash"`
}

// Results of a rule.
const (
	Matched    = "matched"
	NoMatch    = "no match"
	Failed     = "failed"
	NotReached = "not reached"
)

// RuleExplanation is one rule's part.
type RuleExplanation struct {
	Name string `json:"name"`
	// Result is matched, no match, failed or not reached.
	Result string `json:"result"`
	// When is the condition; False are the parts of it, between &&, that do not hold.
	When  string   `json:"when"`
	False []string `json:"false,omitempty"`
	// Problem is why the condition failed.
	Problem string `json:"problem,omitempty"`
}

// VariableExplanation is one variable's part.
type VariableExplanation struct {
	Name string `json:"name"`
	// Values are one, or a list's elements; Origin is where they came from.
	Values []string `json:"values,omitempty"`
	Origin string   `json:"origin,omitempty"`
	// Problem is why there are none.
	Problem string `json:"problem,omitempty"`
}

// Explain decides as Decide does, and says how. It costs as much as all rules together, and more.
func (p *Policy) Explain(q *wire.DecideRequest, c Context) *Explanation {
	out := &Explanation{PolicyHash: p.hash}
	out.Grant, out.Error = p.Decide(q, c)
	f, fail := p.newFacts(q, c)
	if fail != nil {
		return out
	}
	decided := false
	for _, r := range p.rules {
		e := RuleExplanation{Name: r.name, When: r.condition.text, Result: NotReached}
		if !decided {
			p.explainRule(r, f, &e)
			decided = e.Result != NoMatch
		}
		if e.Result == Matched {
			for _, v := range r.variables {
				f.value(v)
			}
		}
		out.Rules = append(out.Rules, e)
	}
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		v := f.values[p.variables[name].number]
		if !v.known {
			continue
		}
		e := VariableExplanation{Name: name, Values: v.words, Origin: v.origin}
		if v.fail != nil {
			e.Problem = v.fail.Error()
		}
		out.Variables = append(out.Variables, e)
	}
	return out
}

func (p *Policy) explainRule(r *rule, f *facts, e *RuleExplanation) {
	holds, err := r.condition.holds(f)
	switch {
	case err != nil:
		e.Result, e.Problem = Failed, err.Error()
	case holds:
		e.Result = Matched
	default:
		e.Result = NoMatch
		for _, text := range r.condition.parts {
			part, err := p.env.compile(text)
			if err != nil {
				continue
			}
			if holds, err := part.holds(f); err == nil && !holds {
				e.False = append(e.False, text)
			}
		}
	}
}

// May says whether a grant allows a subject, and why: the entry that allows or denies it. A subscription that a deny
// entry cuts into is allowed, except for what is denied. internal traffic that the callout keeps apart is not looked at.
func May(side wire.Permissions, subject string) (bool, string) {
	for _, deny := range side.Deny {
		if d, _, _ := strings.Cut(deny, " "); covers(d, subject) {
			return false, fmt.Sprintf("deny %q", deny)
		}
	}
	for _, allow := range side.Allow {
		a, queue, _ := strings.Cut(allow, " ")
		if !covers(a, subject) {
			continue
		}
		why := fmt.Sprintf("allow %q", allow)
		if queue != "" {
			why += ", only in this queue group"
		}
		for _, deny := range side.Deny {
			if d, _, _ := strings.Cut(deny, " "); overlaps(d, subject) {
				why += fmt.Sprintf(", except %q", deny)
			}
		}
		return true, why
	}
	if len(side.Allow) == 0 {
		return false, "nothing is allowed on this side"
	}
	return false, "no allow entry covers it"
}
