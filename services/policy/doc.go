// Package policy turns verified claims into a grant.
package policy
