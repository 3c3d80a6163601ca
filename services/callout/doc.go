// Package callout answers nats-server's authorization requests: it opens and verifies the request, has tokencheck judge
// the token and policy decide the grant, and signs a user JWT with exactly that. It holds the issuer's signing key, and
// therefore parses no token, reads no claim and speaks no HTTP.
//
// Opening a request, choosing the token, describing the client, checking a grant and minting are functions of values and
// a clock; handler.go orders them and owns the decision record.
package callout
