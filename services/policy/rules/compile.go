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
	system    System
	env       *environment
	variables map[string]*variable
	asked     []*variable // those that a condition asks for
	claims    claimNeeds
	rules     []*rule
	index     index
}

// Hash names the text that the policy was compiled from; replicas with the same text show the same.
func (p *Policy) Hash() string { return p.hash }

// Rules is how many rules there are.
func (p *Policy) Rules() int { return len(p.rules) }

// Names are the rules' names, in their order.
func (p *Policy) Names() []string {
	names := make([]string, len(p.rules))
	for i, r := range p.rules {
		names[i] = r.name
	}
	return names
}

// rule is one compiled rule.
type rule struct {
	name      string
	condition *condition
	account   string
	publish   side
	subscribe side
	responses *Responses
	bounds    bounds
	variables []*variable // those that its subjects use, each once
}

type side struct {
	allow, deny []*template
}

// Compile reads a rules file. name is its name in problems. The error is config.Problems: everything that is wrong, with
// line and column.
func Compile(name string, text []byte) (*Policy, config.Problems, error) {
	return System{}.Compile(name, text)
}

func (t *Text) parse(name string, text []byte) (*Policy, config.Problems, error) {
	warnings, err := config.Parse(name, text, t)
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
	p := &Policy{system: t.system, variables: make(map[string]*variable, len(t.Variables)), claims: claimNeeds{names: map[string]bool{}}}
	for i, name := range slices.Sorted(maps.Keys(t.Variables)) {
		v := compileVariable(name, t.Variables[name], r)
		v.number = i
		for _, o := range v.from {
			if o.kind == fromClaim {
				p.claims.addPath(o.name)
			}
		}
		p.variables[name] = v
	}
	if len(t.Rules) == 0 {
		r.Errorf("rules", "at least one is required: without a rule every login is denied")
	}
	if len(t.Rules) > maxRules {
		r.Errorf("rules", "more than %d", maxRules)
		return p
	}
	var err error
	if p.env, err = newEnvironment(); err != nil {
		r.Errorf("rules", "%v", err)
		return p
	}
	used, asked := map[string]bool{}, map[string]bool{}
	for i := range t.Rules {
		c := ruleCompiler{key: fmt.Sprintf("rules[%d]", i), text: &t.Rules[i], policy: p, report: r, used: map[string]bool{}, asked: asked}
		p.rules = append(p.rules, c.compile())
		maps.Copy(used, c.used)
	}
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		if asked[name] {
			p.asked = append(p.asked, p.variables[name])
		}
		if !used[name] && !asked[name] {
			r.Errorf("variables."+name, "no subject and no condition uses it; take it out, or use it as {%s} or vars.%s", name, name)
		}
	}
	lintOrder(p.rules, r)
	lintResponses(t.Rules, p.rules, r)
	p.index = newIndex(p.rules)
	return p
}

// ruleCompiler compiles one rule.
type ruleCompiler struct {
	key    string
	text   *Rule
	policy *Policy
	report *config.Report
	used   map[string]bool // variables of this rule's subjects
	asked  map[string]bool // variables of any rule's condition
}

func (c *ruleCompiler) compile() *rule {
	if !namePattern.MatchString(c.text.Name) {
		c.report.Errorf(c.key+".name", "%q: must be 1 to 64 letters, digits, '_' or '-', beginning with a letter", c.text.Name)
	}
	if a := c.text.AllowResponses; a != nil && (a.Max < 1 || a.TTL < time.Millisecond) {
		c.report.Errorf(c.key+".allow_responses", "max must be at least 1 and ttl at least 1ms")
	}
	r := &rule{
		name: c.text.Name, condition: c.condition(), account: c.text.Account,
		publish:   c.side("publish", c.text.Publish, false),
		subscribe: c.side("subscribe", c.text.Subscribe, true),
		responses: c.text.AllowResponses, bounds: c.bounds(),
	}
	c.lintSubjects(r)
	macros := c.macros()
	r.publish.allow = append(r.publish.allow, macros.publish...)
	r.subscribe.allow = append(r.subscribe.allow, macros.subscribe...)
	for _, name := range slices.Sorted(maps.Keys(c.used)) {
		if v := c.policy.variables[name]; v != nil {
			r.variables = append(r.variables, v)
		}
	}
	c.lintSystem(r)
	c.lintGrant(r)
	return r
}

func (c *ruleCompiler) condition() *condition {
	condition, err := c.policy.env.compile(c.text.When)
	if err != nil {
		c.report.Errorf(c.key+".when", "%v", err)
		return nil
	}
	c.policy.claims.add(condition)
	for _, name := range condition.vars {
		if c.policy.variables[name] == nil {
			c.report.Errorf(c.key+".when", "vars.%s: there is no variable %q", name, name)
		}
		c.asked[name] = true
	}
	for _, name := range condition.client {
		switch {
		case !slices.Contains(clientMembers, name):
			c.report.Errorf(c.key+".when", "client.%s: client has no such member", name)
		case slices.Contains(chosenByClient, name):
			c.report.Warnf(c.key+".when", "client.%s is what the client chose: it proves nothing", name)
		}
	}
	return condition
}

func (c *ruleCompiler) side(name string, s *Side, queues bool) side {
	if s == nil {
		return side{}
	}
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
		out = append(out, c.template(fmt.Sprintf("%s[%d]", key, i), text, queues)...)
	}
	return out
}

// template reads one subject; none when it is no subject.
func (c *ruleCompiler) template(at, text string, queues bool) []*template {
	t, err := parseTemplate(text, queues)
	if err != nil {
		c.report.Errorf(at, "%q: %v", text, err)
		return nil
	}
	t.at = at
	for _, name := range t.names {
		v := c.policy.variables[name]
		switch {
		case v == nil:
			c.report.Errorf(at, "%q: there is no variable %q", text, name)
		case v.list && t.list != "":
			c.report.Errorf(at, "%q: %s and %s are both lists; one for each subject", text, t.list, name)
		case v.list:
			t.list = name
		}
		c.used[name] = true
	}
	return []*template{t}
}
