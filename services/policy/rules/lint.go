package rules

import (
	"fmt"
	"strings"

	"harmony.internal/authcallout/shared/config"
)

// lintOrder reports rules that can never apply, and names used twice.
func lintOrder(rules []*rule, r *config.Report) {
	always := ""
	names, conditions := map[string]bool{}, map[string]string{}
	for i, rule := range rules {
		key := fmt.Sprintf("rules[%d]", i)
		if names[rule.name] {
			r.Errorf(key+".name", "%q names two rules", rule.name)
		}
		names[rule.name] = true
		c := rule.condition
		if c == nil {
			continue
		}
		normal := strings.Join(c.parts, " && ")
		switch {
		case always != "":
			r.Errorf(key, "can never apply: rule %s before it always does", always)
		case conditions[normal] != "":
			r.Errorf(key+".when", "can never apply: rule %s before it has the same condition", conditions[normal])
		case c.never:
			r.Errorf(key+".when", "can never apply")
		}
		conditions[normal] = rule.name
		if c.always {
			always = rule.name
		}
	}
}

// lintSubjects reports subjects written by hand that give more than is meant as a rule.
func (c *ruleCompiler) lintSubjects(r *rule) {
	c.lintSide("publish", r.publish.allow)
	c.lintSide("subscribe", r.subscribe.allow)
}

func (c *ruleCompiler) lintSide(name string, allow []*template) {
	for _, t := range allow {
		key := c.key + "." + name + ".allow"
		for i, text := range c.allowed(name) {
			if subject, _, _ := strings.Cut(text, " "); subject == t.text {
				key = fmt.Sprintf("%s.%s.allow[%d]", c.key, name, i)
			}
		}
		first := t.tokens[0]
		switch {
		case first.name != "" && first.before == "":
			c.report.Warnf(key, "%q begins with a variable: its value may be the first word of any other subject", t.text)
		case t.text == "_INBOX.>" && name == "subscribe":
			c.report.Warnf(key, "%q lets each device listen to the answers that the others of the account get; inbox: private does not", t.text)
		case t.text == "_INBOX.>":
			// To answer requests; the reference flow has it, and allow_responses needs less.
		case c.text.Broad:
		case first.before == ">" || first.before == "*":
			c.report.Errorf(key, "%q begins with a wildcard; write broad: true beside it if that is meant", t.text)
		case strings.HasPrefix(first.before, "$"), strings.HasPrefix(first.before, "_INBOX") && t.text != "_INBOX_{"+deviceVariable+"}.>":
			c.report.Errorf(key, "%q is reserved; use kv, streams, consumers, object_stores or inbox, or write broad: true beside it", t.text)
		}
	}
}

func (c *ruleCompiler) allowed(side string) []string {
	s := c.text.Publish
	if side == "subscribe" {
		s = c.text.Subscribe
	}
	if s == nil {
		return nil
	}
	return s.Allow
}

// maxUserJWT is callout.yaml's default max_user_jwt_bytes.
const maxUserJWT = 128 << 10

// lintGrant reports a grant that is empty, one-sided or too large.
func (c *ruleCompiler) lintGrant(r *rule) {
	publish, subscribe := len(r.publish.allow) > 0, len(r.subscribe.allow) > 0
	switch {
	case !publish && !subscribe && r.responses == nil:
		c.report.Errorf(c.key, "grants nothing: neither publish nor subscribe allows a subject")
	case !publish && c.text.Publish == nil && r.responses == nil:
		c.report.Warnf(c.key, "may publish nothing; write publish: {} if that is meant")
	case !subscribe && c.text.Subscribe == nil:
		c.report.Warnf(c.key, "may subscribe to nothing; write subscribe: {} if that is meant")
	}
	count, size := c.worst(r)
	if count > maxExpanded {
		c.report.Errorf(c.key, "can stand for %d subjects, at most %d: shorten max_items of its lists", count, maxExpanded)
	} else if size > maxUserJWT {
		c.report.Errorf(c.key, "can make a user JWT of %d bytes, at most %d: fewer subjects, or smaller max_length and max_items", size, maxUserJWT)
	}
}

// maxExpanded bounds the subjects of one grant.
const maxExpanded = 4096

// worst is how many subjects a rule can stand for, and the bytes of the user JWT that they make in base64.
func (c *ruleCompiler) worst(r *rule) (count, size int) {
	for _, list := range [][]*template{r.publish.allow, r.publish.deny, r.subscribe.allow, r.subscribe.deny} {
		for _, t := range list {
			one, times := len(t.text)+len(t.queue)+4, 1
			for _, token := range t.tokens {
				if v := c.policy.variables[token.name]; v != nil {
					one += v.maxLength
				}
			}
			if v := c.policy.variables[t.list]; v != nil {
				times = v.maxItems
			}
			count += times
			size += one * times
		}
	}
	return count, 1024 + size*4/3
}
