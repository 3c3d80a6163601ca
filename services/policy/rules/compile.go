package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"harmony.internal/authcallout/shared/config"
)

// Policy is a compiled rules file: immutable, safe for concurrent use.
type Policy struct {
	hash      string
	variables map[string]*variable
	rules     []*rule
}

// Hash names the text that the policy was compiled from; replicas with the same text show the same.
func (p *Policy) Hash() string { return p.hash }

// Rules is how many rules there are.
func (p *Policy) Rules() int { return len(p.rules) }

// rule is one compiled rule.
type rule struct {
	name       string
	condition  *condition
	account    string
	publish    side
	subscribe  side
	responses  *Responses
	maxSession time.Duration
	variables  []*variable // those that its subjects use, each once
}

type side struct {
	allow, deny []*template
}

// Compile reads a rules file. name is its name in problems. The error is config.Problems: everything that is wrong, with
// line and column.
func Compile(name string, text []byte) (*Policy, config.Problems, error) {
	var t Text
	warnings, err := config.Parse(name, text, &t)
	if err != nil {
		return nil, warnings, err
	}
	sum := sha256.Sum256(text)
	t.compiled.hash = hex.EncodeToString(sum[:8])
	return t.compiled, warnings, nil
}

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// compile reports what is wrong with t; the policy is good when nothing is.
func compile(t *Text, r *config.Report) *Policy {
	p := &Policy{variables: make(map[string]*variable, len(t.Variables))}
	for _, name := range slices.Sorted(maps.Keys(t.Variables)) {
		p.variables[name] = compileVariable(name, t.Variables[name], r)
	}
	if len(t.Rules) == 0 {
		r.Errorf("rules", "at least one is required: without a rule every login is denied")
	}
	if len(t.Rules) > maxRules {
		r.Errorf("rules", "more than %d", maxRules)
		return p
	}
	env, err := newEnvironment()
	if err != nil {
		r.Errorf("rules", "%v", err)
		return p
	}
	names, used := map[string]bool{}, map[string]bool{}
	for i := range t.Rules {
		key := fmt.Sprintf("rules[%d]", i)
		c := ruleCompiler{key: key, text: &t.Rules[i], policy: p, report: r, used: map[string]bool{}}
		if names[c.text.Name] {
			r.Errorf(key+".name", "%q names two rules", c.text.Name)
		}
		names[c.text.Name] = true
		p.rules = append(p.rules, c.compile(env))
		maps.Copy(used, c.used)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Variables)) {
		if !used[name] {
			r.Errorf("variables."+name, "no subject uses it; take it out, or use it as {%s}", name)
		}
	}
	return p
}

// ruleCompiler compiles one rule.
type ruleCompiler struct {
	key    string
	text   *Rule
	policy *Policy
	report *config.Report
	used   map[string]bool // variables
}

func (c *ruleCompiler) compile(env *environment) *rule {
	if !namePattern.MatchString(c.text.Name) {
		c.report.Errorf(c.key+".name", "%q: must be 1 to 64 letters, digits, '_' or '-', beginning with a letter", c.text.Name)
	}
	if c.text.MaxSession < 0 || (c.text.MaxSession > 0 && c.text.MaxSession < time.Second) {
		c.report.Errorf(c.key+".max_session", "must be at least 1s")
	}
	if a := c.text.AllowResponses; a != nil && (a.Max < 1 || a.TTL < time.Millisecond) {
		c.report.Errorf(c.key+".allow_responses", "max must be at least 1 and ttl at least 1ms")
	}
	condition, err := env.compile(c.text.When)
	if err != nil {
		c.report.Errorf(c.key+".when", "%v", err)
	}
	r := &rule{
		name: c.text.Name, condition: condition, account: c.text.Account,
		publish:   c.side("publish", c.text.Publish, false),
		subscribe: c.side("subscribe", c.text.Subscribe, true),
		responses: c.text.AllowResponses, maxSession: c.text.MaxSession,
	}
	if len(r.publish.allow)+len(r.subscribe.allow) == 0 && r.responses == nil {
		c.report.Errorf(c.key, "grants nothing: neither publish nor subscribe allows a subject")
	}
	for _, name := range slices.Sorted(maps.Keys(c.used)) {
		r.variables = append(r.variables, c.policy.variables[name])
	}
	return r
}

func (c *ruleCompiler) side(name string, s Side, queues bool) side {
	return side{
		allow: c.templates(c.key+"."+name+".allow", s.Allow, queues),
		deny:  c.templates(c.key+"."+name+".deny", s.Deny, queues),
	}
}

func (c *ruleCompiler) templates(key string, subjects []string, queues bool) []*template {
	if len(subjects) > maxSubjects {
		c.report.Errorf(key, "%d subjects, at most %d", len(subjects), maxSubjects)
		return nil
	}
	out := make([]*template, 0, len(subjects))
	for i, text := range subjects {
		at := fmt.Sprintf("%s[%d]", key, i)
		t, err := parseTemplate(text, queues)
		if err != nil {
			c.report.Errorf(at, "%q: %v", text, err)
			continue
		}
		for _, name := range t.variables() {
			if c.policy.variables[name] == nil {
				c.report.Errorf(at, "%q: there is no variable %q", text, name)
			}
			c.used[name] = true
		}
		out = append(out, t)
	}
	return out
}
