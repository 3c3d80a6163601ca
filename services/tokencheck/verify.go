package tokencheck

import (
	"context"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"

	"harmony.internal/authcallout/shared/wire"
)

// verifier judges tokens of the configured issuers. Safe for concurrent use.
type verifier struct {
	issuers map[string]*issuer // by exact iss
	now     func() time.Time
}

// verify judges one token. certificateSHA256 is as in wire.CheckRequest. ctx bounds the wait for keys.
func (v *verifier) verify(ctx context.Context, token, certificateSHA256 string) (*wire.Verified, *wire.Error) {
	parts, fail := parseCompact(token)
	if fail != nil {
		return nil, fail
	}
	head, fail := parseHeader(parts.header)
	if fail != nil {
		return nil, fail
	}
	body, fail := parseClaims(parts.payload)
	if fail != nil {
		return nil, fail
	}
	// The issuer chooses configuration, keys and limits, so it comes before all that depends on them, and it is compared
	// to the letter (RFC 7519 section 4.1.1, RFC 8725 section 3.8).
	iss, ok := v.issuers[body.issuer]
	if !ok {
		return nil, wire.Fail(wire.IssuerUnknown, bounded(body.issuer), nil)
	}
	if len(token) > iss.MaxTokenBytes {
		return nil, wire.Fail(wire.TokenTooLarge, "", nil)
	}
	if fail := head.check(iss.IssuerConfig); fail != nil {
		return nil, fail
	}
	if fail := body.check(iss.issuerRules, v.now()); fail != nil {
		return nil, fail
	}
	k, set, fail := iss.keys.find(ctx, head.kid)
	if fail != nil {
		return nil, fail
	}
	if fail := checkSignature(parts, head, k); fail != nil {
		return nil, fail
	}
	if fail := body.checkBinding(certificateSHA256); fail != nil {
		return nil, fail
	}
	roles, fail := body.roles(iss.RolesClaim)
	if fail != nil {
		return nil, fail
	}
	return &wire.Verified{
		Issuer: body.issuer, Subject: body.subject, ExpiresAt: body.expires, IssuedAt: body.issued,
		KeyID: head.kid, Algorithm: head.Algorithm, TokenID: bounded(body.id),
		Roles: roles, Claims: parts.payload, KeySet: set.hash,
	}, nil
}

// checkSignature verifies with exactly the key and the algorithm that were named, after both were found to fit each
// other (RFC 8725 section 3.1).
func checkSignature(parts *compact, head *header, k *key) *wire.Error {
	alg := algorithms[head.Algorithm]
	if !alg.fits(k.public) || (k.algorithm != "" && k.algorithm != head.Algorithm) {
		return wire.Fail(wire.KeyMismatch, "", nil)
	}
	if len(parts.signature) != alg.signature(k.public) {
		return wire.Fail(wire.SignatureInvalid, "length", nil)
	}
	if _, err := jws.Verify([]byte(parts.text), jws.WithKey(alg.jwa, k.public)); err != nil {
		return wire.Fail(wire.SignatureInvalid, "", err)
	}
	return nil
}
