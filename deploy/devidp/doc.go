// Package devidp is an OpenID provider for development and demonstrations, built on github.com/zitadel/oidc: machine
// users obtain access tokens with the JWT profile grant (RFC 7523) or with client credentials, and the tokens have the
// claims that a Zitadel issues. It listens on loopback unless told otherwise and knows no person, no login page and no
// consent. It is never for production: its signing keys lie in a file and whoever reads its data directory is everybody.
package devidp
