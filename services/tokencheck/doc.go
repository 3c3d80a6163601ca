// Package tokencheck validates the access tokens of OpenID Connect issuers. It holds no secret, decides nothing about
// subjects, and is the only one of the three services that speaks HTTP.
//
// A token is judged in this order, each step cheaper than the next: its form (compact.go), header (header.go), issuer
// and claims (claims.go, kind.go), key (keyring.go), signature (verify.go). Nothing of a token is believed before its
// signature verified; the early steps only spare the later ones.
package tokencheck
