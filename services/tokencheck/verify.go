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

// judgement is one token on its way through the checks, which fill it from top to bottom. Nothing of it is to be believed
// before all of them passed.
type judgement struct {
	token       string
	certificate string // as CertificateSHA256 in wire.CheckRequest

	compact *compact
	header  *header
	claims  *claims
	issuer  *issuer
	key     *key
	set     *keySet
	roles   []string
	// metadata are decoded, with the profile zitadel alone.
	metadata map[string]string
	binding  binding
}

// check is one thing that a token must pass. ctx bounds what it may wait for.
type check struct {
	name string
	do   func(ctx context.Context, v *verifier, j *judgement) *wire.Error
}

// checks are what a token must pass, in this order: first what depends on the token and the keys alone, then what depends
// on the connection and the moment.
var checks = append(examination, forThisLogin...)

var examination = []check{
	{"form", func(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
		j.compact, fail = parseCompact(j.token)
		return fail
	}},
	{"header", func(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
		j.header, fail = parseHeader(j.compact.header)
		return fail
	}},
	{"payload", func(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
		j.claims, fail = parseClaims(j.compact.payload)
		return fail
	}},
	{"iss", findIssuer},
	{"size", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.issuer.checkSize(j.token) }},
	{"alg", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.header.checkAlgorithm(j.issuer.IssuerConfig)
	}},
	{"typ", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.header.checkType(j.issuer.Type)
	}},
	{"kid", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.header.checkKeyID() }},
	{"times", checkTimes},
	{"aud", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.claims.checkAudience(j.issuer.IssuerConfig)
	}},
	{"sub", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.claims.checkSubject() }},
	{"kind", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.claims.checkKind(j.issuer.IssuerConfig, j.header.typ)
	}},
	{"required_claims", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.claims.checkRequired(j.issuer.required)
	}},
	{"key", findKey},
	{"signature", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return checkSignature(j.compact, j.header, j.key)
	}},
	{"cnf", func(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
		j.binding, fail = j.claims.binding()
		return fail
	}},
	{"roles", func(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
		if j.issuer.Profile == profileZitadel {
			j.metadata = j.claims.metadata()
		}
		j.roles, fail = j.claims.roles(j.issuer.RolesClaim)
		return fail
	}},
}

var forThisLogin = []check{
	{"certificate", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.binding.check(j.certificate) }},
}

// verify judges one token. certificateSHA256 is as in wire.CheckRequest. ctx bounds the wait for keys.
func (v *verifier) verify(ctx context.Context, token, certificateSHA256 string) (*wire.Verified, *wire.Error) {
	j := &judgement{token: token, certificate: certificateSHA256}
	if fail := v.walk(ctx, j, func(string, *wire.Error) {}); fail != nil {
		return nil, fail
	}
	return j.verified(), nil
}

// walk puts a token through the checks until one fails, and tells saw of each.
func (v *verifier) walk(ctx context.Context, j *judgement, saw func(check string, fail *wire.Error)) *wire.Error {
	for i := range checks {
		fail := checks[i].do(ctx, v, j)
		saw(checks[i].name, fail)
		if fail != nil {
			return j.name(fail, checks[i].name)
		}
	}
	return nil
}

// name adds to a failure which check of which issuer's token it is.
func (j *judgement) name(fail *wire.Error, check string) *wire.Error {
	fail.Token = &wire.TokenName{Check: check}
	if j.issuer != nil {
		fail.Token.Issuer = j.issuer.Issuer
	}
	if j.header != nil {
		fail.Token.KeyID = bounded(j.header.kid)
	}
	return fail
}

// verified is what a token that passed every check says.
func (j *judgement) verified() *wire.Verified {
	c := j.claims
	return &wire.Verified{
		Issuer: j.issuer.Issuer, Subject: c.subject, ExpiresAt: c.expires, IssuedAt: c.issued,
		KeyID: j.header.kid, Algorithm: j.header.Algorithm, TokenID: bounded(c.id),
		Roles: j.roles, Metadata: j.metadata, Claims: j.compact.payload, KeySet: j.set.hash,
	}
}

// findIssuer chooses configuration, keys and limits, so it comes before all that depends on them; iss is compared to the
// letter (RFC 7519 section 4.1.1, RFC 8725 section 3.8).
func findIssuer(_ context.Context, v *verifier, j *judgement) *wire.Error {
	iss, ok := v.issuers[j.claims.issuer]
	if !ok {
		return wire.Fail(wire.IssuerUnknown, bounded(j.claims.issuer), nil)
	}
	j.issuer = iss
	return nil
}

func checkTimes(_ context.Context, v *verifier, j *judgement) *wire.Error {
	return j.claims.checkTimes(j.issuer.IssuerConfig, v.now().Unix())
}

func findKey(ctx context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
	j.key, j.set, fail = j.issuer.keys.find(ctx, j.header.kid)
	return fail
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
