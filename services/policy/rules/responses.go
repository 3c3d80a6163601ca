package rules

import (
	"fmt"
	"strings"

	"harmony.internal/authcallout/shared/config"
)

// lintResponses reports rules with allow_responses whose connections can be asked by those of a rule, their own or another. Who
// asks names the subject of the answer, and nats-server then lets the asked publish there whatever is denied to it
// (server/client.go, pubAllowedFullCheck): a connection that asks itself has every subject of its account. callout gives no responses to one that could (its mint.go); that two
// work together only this shows. What is denied is not looked at, here and there.
func lintResponses(texts []Rule, rules []*rule, r *config.Report) {
	for i, asked := range rules {
		if asked.responses == nil {
			continue
		}
		by, question, subscription := askers(rules, asked)
		if by == nil {
			continue
		}
		report := r.Errorf
		if texts[i].Broad {
			report = r.Warnf
		}
		report(fmt.Sprintf("rules[%d].allow_responses", i), "rule %s may publish %q, which reaches %q of this rule: with the two of them a device can publish on any subject of the account, whatever is denied to it; keep what is answered to out of what any rule may publish, or write broad: true beside it if that is meant",
			by.name, question.text, subscription.text)
	}
}

// askers returns a rule whose connections can ask those of asked, with what they publish and what that reaches; nil for none.
func askers(rules []*rule, asked *rule) (by *rule, question, subscription *template) {
	for _, other := range rules {
		if other.account != asked.account && other.account != "" && asked.account != "" {
			continue
		}
		for _, q := range other.publish.allow {
			for _, s := range asked.subscribe.allow {
				if meet(q, s) {
					return other, q, s
				}
			}
		}
	}
	return nil, nil, nil
}

// meet reports whether a and b, with some values of their variables, have a subject in common.
func meet(a, b *template) bool {
	for i := 0; ; i++ {
		switch {
		case i == len(a.tokens) || i == len(b.tokens):
			return len(a.tokens) == len(b.tokens)
		case a.tokens[i].before == ">" || b.tokens[i].before == ">":
			return true
		case !a.tokens[i].meets(b.tokens[i]):
			return false
		}
	}
}

func (t tokenTemplate) meets(u tokenTemplate) bool {
	switch {
	case t.name == "" && u.name == "":
		return t.before == u.before || t.before == "*" || u.before == "*"
	case t.name == "":
		return u.couldBe(t.before)
	case u.name == "":
		return t.couldBe(u.before)
	}
	return (strings.HasPrefix(t.before, u.before) || strings.HasPrefix(u.before, t.before)) &&
		(strings.HasSuffix(t.after, u.after) || strings.HasSuffix(u.after, t.after))
}
