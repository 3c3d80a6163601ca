package rules

import (
	"fmt"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/config"
)

// lintOrder reports rules that can never apply, and names used twice.
func lintOrder(rules []*rule, r *config.Report) {
	names := map[string]bool{}
	var before earlier
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
		switch other := before.takes(c); {
		case before.always != "":
			r.Errorf(key, "can never apply: rule %s before it always does", before.always)
		case c.never:
			r.Errorf(key+".when", "can never apply")
		case other != nil && len(other.condition.parts) == len(c.parts):
			r.Errorf(key+".when", "can never apply: rule %s before it has the same condition", other.name)
		case other != nil:
			r.Errorf(key+".when", "can never apply: rule %s before it does whenever this would, for it asks for less", other.name)
		}
		before.add(rule)
	}
}

// earlier are the rules before one, by the first part of their condition.
type earlier struct {
	always string // the rule that always applies
	rules  map[string][]*rule
}

func (e *earlier) add(r *rule) {
	if r.condition.always && e.always == "" {
		e.always = r.name
	}
	if e.rules == nil {
		e.rules = map[string][]*rule{}
	}
	first := r.condition.parts[0]
	e.rules[first] = append(e.rules[first], r)
}

// takes returns a rule that holds, or fails and so denies, wherever c would hold: all its parts are parts of c.
func (e *earlier) takes(c *condition) *rule {
	for _, part := range c.parts {
		for _, r := range e.rules[part] {
			if !slices.ContainsFunc(r.condition.parts, func(p string) bool { return !slices.Contains(c.parts, p) }) {
				return r
			}
		}
	}
	return nil
}

// editableOnZitadel are claims that a user of Zitadel writes, or an administrator of another organization.
var editableOnZitadel = []string{"client_id", "preferred_username", "username", "name", "nickname", "given_name", "family_name", "email"}

// lintOrigin reports a device id that does not identify.
func lintOrigin(key string, o origin, r *config.Report) {
	switch claim, _, _ := strings.Cut(o.name, "."); {
	case o.kind == fromMetadata, o.kind == fromClaim && claim == "urn:zitadel:iam:user:metadata":
		r.Warnf(key, "a user of Zitadel writes its own metadata: whoever has a token can become any device")
	case o.kind == fromClaim && slices.Contains(editableOnZitadel, claim):
		r.Warnf(key, "a user of Zitadel can change its own %s, and another organization can have one like it; registry:device_id and sub identify", claim)
	}
}

// lintSubjects reports subjects written by hand that give more than is meant as a rule.
func (c *ruleCompiler) lintSubjects(r *rule) {
	c.lintSide("publish", r.publish.allow)
	c.lintSide("subscribe", r.subscribe.allow)
}

func (c *ruleCompiler) lintSide(name string, allow []*template) {
	for _, t := range allow {
		key, first := t.at, t.tokens[0]
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
		case strings.HasPrefix(first.before, "$"), strings.HasPrefix(first.before, "_AUTH_INBOX"),
			strings.HasPrefix(first.before, "_INBOX") && t.text != "_INBOX_{"+deviceVariable+"}.>":
			c.report.Errorf(key, "%q is reserved; use kv, streams, consumers, object_stores or inbox, or write broad: true beside it", t.text)
		}
	}
}

// maxUserJWT is callout.yaml's default max_user_jwt_bytes.
const maxUserJWT = 128 << 10

// lintGrant reports a grant that is empty, one-sided or too large.
func (c *ruleCompiler) lintGrant(r *rule) {
	publish, subscribe := len(r.publish.allow) > 0, len(r.subscribe.allow) > 0
	switch {
	case !publish && !subscribe && r.responses == nil:
		c.report.Errorf(c.key, "grants nothing: neither publish nor subscribe allows a subject")
	case !publish && r.responses == nil && !meant(c.text.Publish):
		c.report.Warnf(c.key+".publish", "allows nothing; write publish: {} if that is meant")
	case !subscribe && !meant(c.text.Subscribe):
		c.report.Warnf(c.key+".subscribe", "allows nothing; write subscribe: {} if that is meant")
	}
	count, size := c.worst(r)
	if count > maxExpanded {
		c.report.Errorf(c.key, "can stand for %d subjects, at most %d: shorten max_items of its lists", count, maxExpanded)
	} else if size > maxUserJWT {
		c.report.Errorf(c.key, "can make a user JWT of %d bytes, at most %d: fewer subjects, or smaller max_length and max_items", size, maxUserJWT)
	}
}

// meant reports whether a side that allows nothing was written so.
func meant(s *Side) bool { return s != nil && len(s.Deny) == 0 }

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
