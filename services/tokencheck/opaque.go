package tokencheck

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// shape is what a token looks like, before anything of it is read.
type shape uint8

const (
	shapeNone   shape = iota // nothing that a provider would issue
	shapeJWT                 // perhaps a broken one
	shapeJWE                 // encrypted: opaque to everybody but its provider
	shapeOpaque              // a reference that its provider alone understands
)

// shapeOf looks at a token. A JWT and a JWE begin with the header, a JSON object, and a dot; every other text of the
// alphabet of bearer tokens (RFC 6750 section 2.1) is opaque.
func shapeOf(token string) shape {
	if token == "" {
		return shapeNone
	}
	for i := range len(token) {
		if !bearer[token[i]] {
			return shapeNone
		}
	}
	dots := strings.Count(token, ".")
	if dots == 0 || !beginsObject(token) {
		return shapeOpaque
	}
	if dots == 4 {
		return shapeJWE
	}
	return shapeJWT
}

// bearer are the characters of a bearer token (RFC 6750 section 2.1).
var bearer = func() (b [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=") {
		b[c] = true
	}
	return b
}()

// beginsObject reports whether a token begins with "{" in base64url, which two characters hold.
func beginsObject(token string) bool {
	if len(token) < 2 {
		return false
	}
	head, err := base64.RawURLEncoding.DecodeString(token[:2]) // what the second character holds besides does not matter
	return err == nil && head[0] == '{'
}

// opaqueChecks are what an opaque token must pass, in this order. It names no issuer: it goes to the one that is configured
// for it.
var opaqueChecks = []check{
	{"form", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		if len(j.token) > wire.MaxTokenBytes {
			return wire.Fail(wire.TokenTooLarge, "", nil)
		}
		return nil
	}},
	{"iss", func(_ context.Context, v *verifier, j *judgement) *wire.Error {
		j.issuer = v.opaque
		return nil
	}},
	{"size", checkSize},
	{"introspection", introspectOpaqueToken},
	{"times", func(_ context.Context, v *verifier, j *judgement) *wire.Error {
		return j.claims.checkValidity(j.issuer.IssuerConfig, v.now().Unix())
	}},
	{"aud", checkAudience},
	{"sub", checkSubject},
	{"kind", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.claims.checkNotRefresh() }},
	{"required_claims", checkRequired},
	{"cnf", readBinding},
	{"roles", readRoles},
	{"certificate", checkCertificate},
}

// introspectOpaqueToken asks the provider and takes its answer for the token's claims (RFC 7662 section 2.2). How long an
// opaque token lives is the provider's business, because it can take it back at any time; the session ends at the issuer's
// longest lifetime.
func introspectOpaqueToken(ctx context.Context, v *verifier, j *judgement) *wire.Error {
	answer, fail := j.issuer.introspect(ctx, j.token, false)
	if fail != nil {
		return fail
	}
	own := *answer.claims // the answer is shared
	j.claims, j.payload = &own, answer.payload
	if latest := v.now().Add(j.issuer.MaxLifetime).Unix(); !own.has.expires || own.expires > latest {
		own.expires, own.has.expires = latest, true
	}
	return nil
}

// introspect asks the provider about a token of this issuer; verified is as in ask.
func (i *issuer) introspect(ctx context.Context, token string, verified bool) (*introspected, *wire.Error) {
	answer, fail := i.introspector.ask(ctx, token, verified)
	if fail != nil {
		return nil, fail
	}
	if !answer.active {
		return nil, wire.Fail(wire.TokenInactive, "", nil)
	}
	if named := answer.claims.issuer; named != "" && named != i.Issuer {
		return nil, wire.Fail(wire.IssuerUnknown, "introspection says "+bounded(named), nil)
	}
	return answer, nil
}

// checkActive asks the provider whether a JWT is still good, where the issuer is configured so: a user that was deactivated
// is out although the token has not expired.
func checkActive(ctx context.Context, _ *verifier, j *judgement) *wire.Error {
	if !j.issuer.introspectsJWT() {
		return nil
	}
	answer, fail := j.issuer.introspect(ctx, j.token, true)
	if fail != nil {
		return fail
	}
	if named := answer.claims.subject; named != "" && named != j.claims.subject {
		return wire.Fail(wire.SubjectInvalid, "introspection says another", nil)
	}
	return j.keepRoles(answer.claims)
}

// keepRoles takes away the roles that the user no longer has. Zitadel's answer has those of the moment, and not even the
// claim when there are none; of another provider an answer without the claim says nothing. A role that came since the token
// was issued is not added: it takes a new token.
func (j *judgement) keepRoles(answer *claims) *wire.Error {
	if j.issuer.RolesClaim == "" || (j.issuer.Profile != profileZitadel && member(answer.all, j.issuer.RolesClaim) == nil) {
		return nil
	}
	now, fail := answer.roles(j.issuer.RolesClaim)
	if fail != nil {
		return fail
	}
	kept := make([]string, 0, len(j.roles))
	for _, role := range j.roles {
		if slices.Contains(now, role) {
			kept = append(kept, role)
		}
	}
	j.narrowed = len(kept) < len(j.roles)
	j.roles = kept
	return nil
}

func (i *issuer) introspectsJWT() bool {
	return i.Introspect == introspectJWT || i.Introspect == introspectAlways
}

func (c *IssuerConfig) takesOpaque() bool {
	return c.Introspect == introspectOpaque || c.Introspect == introspectAlways
}
