// Package ruletest runs the tests of a rules file: what a token and a connection must get, or why they must be refused. It
// refuses to know where rules come from.
package ruletest
