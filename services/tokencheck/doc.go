// Package tokencheck validates tokens of OpenID Connect issuers.
package tokencheck
