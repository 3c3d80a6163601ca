package rules

import (
	"fmt"
	"strings"

	"harmony.internal/authcallout/shared/config"
)

// lintResponses reports rules with allow_responses whose connections can be asked by those of a rule. Who asks names the subject
// of the answer, and nats-server then lets the asked publish there whatever is denied to it (server/client.go,
// pubAllowedFullCheck): a connection that asks itself has every subject of its account, so callout gives no responses to one that
// could (its mint.go), and a rule that lets one is refused. Another rule that may ask is what allow_responses is for, and a
// warning: nothing stops two connections that work together. What is denied is not looked at, here and there.
func lintResponses(texts []Rule, rules []*rule, r *config.Report) {
	for i, asked := range rules {
		if asked.responses == nil {
			continue
		}
		place := fmt.Sprintf("rules[%d].allow_responses", i)
		if question, subscription := asks(asked, asked); question != nil {
			report := r.Errorf
			if texts[i].Broad {
				report = r.Warnf
			}
			report(place, "the rule may publish %q, which reaches %q that it subscribes to: a device that asks itself could publish on any subject of the account, whatever is denied to it, so it gets no responses; keep what it answers out of what it may publish, or write broad: true if the variables never make the two meet",
				question.text, subscription.text)
		}
		if asker, question, subscription := otherAsker(rules, asked); asker != nil {
			r.Warnf(place, "rule %s may publish %q, which reaches %q of this rule: whoever it admits and a device that work together can publish on any subject of the account, whatever is denied to them",
				asker.name, question.text, subscription.text)
		}
	}
}

// otherAsker returns the first other rule whose connections can ask those of asked, with what they publish and what that reaches.
func otherAsker(rules []*rule, asked *rule) (asker *rule, question, subscription *template) {
	for _, other := range rules {
		if other == asked {
			continue
		}
		if q, s := asks(other, asked); q != nil {
			return other, q, s
		}
	}
	return nil, nil, nil
}

// asks returns what asker may publish that reaches a subscription of asked, and that subscription; nil for none.
func asks(asker, asked *rule) (question, subscription *template) {
	if asker.account != asked.account && asker.account != "" && asked.account != "" {
		return nil, nil
	}
	for _, q := range asker.publish.allow {
		for _, s := range asked.subscribe.allow {
			if meet(q, s) {
				return q, s
			}
		}
	}
	return nil, nil
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
