// Package policy turns verified claims into a grant. It holds no key, sees no token, and has no network but NATS. The
// language of the rules is in the package rules; this one keeps the rules in force and answers.
package policy
