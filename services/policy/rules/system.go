package rules

import (
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// System is what of the services themselves a rule could give away where they share an account with devices. The zero
// value is the default prefix and no buckets.
type System struct {
	// SubjectPrefix is the first token of the internal subjects; empty is wire.DefaultPrefix.
	SubjectPrefix string
	// Buckets are the key-value buckets that hold the rules and the device registry.
	Buckets []string
}

// Compile is the function of this name, with warnings of what a rule gives of this system.
func (s System) Compile(name string, text []byte) (*Policy, config.Problems, error) {
	t := Text{system: s}
	return t.parse(name, text)
}

// internal are the subjects that callout keeps from every connection (callout's fence).
func (s System) internal() []string {
	prefix := s.SubjectPrefix
	if prefix == "" {
		prefix = wire.DefaultPrefix
	}
	return []string{prefix + ".v1.>", prefix + ".kick.>"}
}

// changing are the subjects by which a bucket is written, emptied, made otherwise or deleted, those of JetStream with a domain
// among them.
func changing(bucket string) []string {
	subjects := []string{"$KV." + bucket + ".>"}
	for _, api := range []string{"$JS.API", "$JS.*.API"} {
		for _, verb := range []string{"DELETE", "PURGE", "UPDATE", "RESTORE", "MSG.DELETE"} {
			subjects = append(subjects, api+".STREAM."+verb+".KV_"+bucket)
		}
	}
	return subjects
}

// lintSystem reports subjects, written by hand or by a macro, that reach the services' own.
func (c *ruleCompiler) lintSystem(r *rule) {
	system := c.policy.system
	for _, t := range slices.Concat(r.publish.allow, r.subscribe.allow) {
		if first := t.tokens[0]; first.name != "" || first.before == ">" || first.before == "*" {
			continue // lintSide reports it
		}
		for _, own := range system.internal() {
			if t.reaches(own) {
				c.report.Warnf(t.at, "%q reaches %s, which belongs to the services: callout gives it to nobody", t.text, own)
			}
		}
	}
	asks := len(c.text.Streams) > 0
	for _, t := range r.publish.allow {
		asks = asks || t.reaches("$JS.API.>") || t.reaches("$JS.*.API.>")
		for _, bucket := range system.Buckets {
			if own := c.gives(r, t, bucket); own != "" {
				c.report.Warnf(t.at, "%q reaches %s of bucket %s, which says who is admitted: in an account that has this bucket, whoever gets this rule could admit anybody; keep the bucket in an account without devices", t.text, own, bucket)
			}
		}
	}
	if asks && len(system.Buckets) > 0 {
		c.report.Warnf(c.key, "lets a device have JetStream answer on any subject of this account, into %s too, if the account has it: that says who is admitted; keep it in an account without devices",
			"bucket "+strings.Join(system.Buckets, " and bucket "))
	}
}

// gives returns the first subject that changes a bucket and that t reaches, without those that the rule denies; empty for none.
func (c *ruleCompiler) gives(r *rule, t *template, bucket string) string {
	for _, own := range changing(bucket) {
		denied := func(deny *template) bool { return len(deny.names) == 0 && covers(deny.text, own) }
		if t.reaches(own) && !slices.ContainsFunc(r.publish.deny, denied) {
			return own
		}
	}
	return ""
}

// reaches reports whether, with some values of its variables, the template has a subject in common with subject.
func (t *template) reaches(subject string) bool {
	pattern := make([]string, len(t.tokens))
	words := strings.Split(subject, ".")
	for i, token := range t.tokens {
		switch {
		case token.name == "":
			pattern[i] = token.before
		case i < len(words) && !token.couldBe(words[i]):
			return false
		default:
			pattern[i] = "*"
		}
	}
	return overlaps(strings.Join(pattern, "."), subject)
}

// couldBe reports whether a value of the token's variable makes it word, a word of a pattern.
func (t tokenTemplate) couldBe(word string) bool {
	if word == "*" || word == ">" {
		return true
	}
	return len(word) > len(t.before)+len(t.after) && strings.HasPrefix(word, t.before) && strings.HasSuffix(word, t.after)
}
