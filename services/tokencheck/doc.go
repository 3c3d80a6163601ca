// Package tokencheck validates the access tokens of OpenID Connect issuers. It holds no key that signs
// anything here, and no secret but that of the client as which it asks a provider about tokens, where that is configured. It
// decides nothing about subjects, and is the only one of the three services that speaks HTTP.
//
// checks.go is the order in which a token is judged, each step cheaper than the next: its form (compact.go), header (header.go),
// issuer and claims (claims.go, kind.go), key (keyring.go), signature (signature.go). Nothing of a token is believed before its
// signature verified; the early steps only spare the later ones. opaque.go is the same for a token that its provider alone reads.
package tokencheck
