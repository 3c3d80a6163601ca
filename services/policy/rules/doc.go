// Package rules is the language of the rules file: variables, conditions, grants. Compile turns a text into a Policy,
// which is immutable; Decide turns a verified token into a grant. It has no clock, no network and no log of its own.
//
// Two properties hold whatever a rule says and whatever a claim holds: a side without an allow list admits nothing, and
// a value from a claim fills exactly one token of a subject, so that it can never widen a grant.
package rules
