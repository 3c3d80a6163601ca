package rules

import (
	"time"

	"harmony.internal/authcallout/shared/config"
)

// Text is a rules file as it is written.
type Text struct {
	// Variables are values taken from a token's claims, by name. A subject refers to one as {name}.
	Variables map[string]Variable `yaml:"variables"`
	// Rules are tried in this order; the first whose condition holds makes the grant. Without one the login is denied.
	Rules []Rule `yaml:"rules"`

	compiled *Policy
}

// Variable is one literal subject token that is taken from a claim.
type Variable struct {
	// From are claims; the first that the token carries is taken, and must be text. A name with dots that is no claim
	// itself leads into objects. Required.
	From []string `yaml:"from"`
	// StripPrefix is taken off the value's front if it is there.
	StripPrefix string `yaml:"strip_prefix"`
	// MaxLength is the longest value accepted, in bytes. Default 128, which is also the most.
	MaxLength int `yaml:"max_length"`
}

// Rule is one way to be admitted.
type Rule struct {
	// Name is what records and explanations call the rule. Required, and different from the others'.
	Name string `yaml:"name"`
	// When is a CEL expression over claims, roles, issuer, subject and client; the rule applies when it is true. Write
	// "true" for every verified token. An expression that fails denies the login: test with has() what may be missing.
	When string `yaml:"when"`
	// Account is the NATS account's name. Default: that of callout.yaml.
	Account string `yaml:"account"`
	// Publish and Subscribe are what the connection may do. A side that allows nothing admits nothing.
	Publish   Side `yaml:"publish"`
	Subscribe Side `yaml:"subscribe"`
	// AllowResponses lets the connection answer requests that it received. Default: not at all.
	AllowResponses *Responses `yaml:"allow_responses"`
	// MaxSession bounds the session besides the token's own end. Default: no further bound.
	MaxSession time.Duration `yaml:"max_session"`
}

// Side is one direction. A subscribe subject may name a queue group after a space.
type Side struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// Responses bounds answers to requests.
type Responses struct {
	// Max is how many messages may answer one request. Default 1.
	Max int `yaml:"max"`
	// TTL is for how long after the request. Default 5s.
	TTL time.Duration `yaml:"ttl"`
}

const (
	defaultMaxLength    = 128
	defaultResponses    = 1
	defaultResponsesTTL = 5 * time.Second
	// maxSubjects bounds one side of a rule: nats-server keeps every subject for each connection.
	maxSubjects = 512
	maxRules    = 2000
)

// SetDefaults fills what is zero.
func (t *Text) SetDefaults() {
	for name, v := range t.Variables {
		if v.MaxLength == 0 {
			v.MaxLength = defaultMaxLength
			t.Variables[name] = v
		}
	}
	for i := range t.Rules {
		if r := t.Rules[i].AllowResponses; r != nil {
			if r.Max == 0 {
				r.Max = defaultResponses
			}
			if r.TTL == 0 {
				r.TTL = defaultResponsesTTL
			}
		}
	}
}

// Check compiles the text and reports what is wrong with it.
func (t *Text) Check(r *config.Report) { t.compiled = compile(t, r) }
