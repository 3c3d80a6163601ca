// Package provider runs the product against an OpenID provider that shares no code with it: github.com/oauth2-proxy/mockoidc, which
// signs with golang-jwt and publishes its keys with go-jose. Tokens come from its authorization endpoint, with PKCE. It is a module
// of its own, so that the provider's dependencies reach no other.
package provider
