package tokencheck

import (
	"context"
	"slices"

	"harmony.internal/authcallout/shared/wire"
)

// check is one thing that a token must pass. ctx bounds what it may wait for.
type check struct {
	name string
	do   func(ctx context.Context, v *verifier, j *judgement) *wire.Error
}

// checks are what a JWT must pass, in this order: first what depends on the token and the keys alone, then what depends
// on the connection and the moment.
var checks = slices.Concat(examination, proof, forThisLogin)

// examination ends with the key in hand. It may wait for that.
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
		j.payload = j.compact.payload
		j.claims, fail = parseClaims(j.payload, maxTime)
		return fail
	}},
	{"iss", findIssuer},
	{"size", checkSize},
	{"alg", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.header.checkAlgorithm(j.issuer.IssuerConfig)
	}},
	{"typ", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.header.checkType(j.issuer.Type)
	}},
	{"kid", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.header.checkKeyID() }},
	{"times", checkTimes},
	{"aud", checkAudience},
	{"sub", checkSubject},
	{"kind", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return j.claims.checkKind(j.issuer.IssuerConfig, j.header.typ)
	}},
	{"required_claims", checkRequired},
	{"key", findKey},
}

// proof waits for nothing: it is what several logins with one token make once together.
var proof = []check{
	{"signature", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return checkSignature(j.compact, j.header.Algorithm, j.key)
	}},
	{"clock", checkClock},
	{"cnf", readBinding},
	{"roles", readRoles},
}

// forThisLogin is made each time, also for a token that was verified a moment ago.
var forThisLogin = []check{
	{"certificate", checkCertificate},
	{"introspection", checkActive},
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

// checkSize holds a token's length against the issuer's own bound.
func checkSize(_ context.Context, _ *verifier, j *judgement) *wire.Error {
	if len(j.token) > j.issuer.MaxTokenBytes {
		return wire.Fail(wire.TokenTooLarge, "", nil)
	}
	return nil
}

func checkTimes(_ context.Context, v *verifier, j *judgement) *wire.Error {
	fail := j.claims.checkTimes(j.issuer.IssuerConfig, v.now().Unix())
	if fail != nil && fail.Code == wire.ClockDisagrees {
		j.doubt, fail = fail, nil
	}
	return fail
}

func checkAudience(_ context.Context, _ *verifier, j *judgement) *wire.Error {
	return j.claims.checkAudience(j.issuer.IssuerConfig)
}

func checkSubject(_ context.Context, _ *verifier, j *judgement) *wire.Error {
	return j.claims.checkSubject()
}

func checkRequired(_ context.Context, _ *verifier, j *judgement) *wire.Error {
	return j.claims.checkRequired(j.issuer.required)
}

// findKey may wait. Anybody can have it wait, with a kid of his own, so what is many times as large as the token is read again after that.
func findKey(ctx context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
	if j.key, j.set = j.issuer.keys.have(j.header.kid); j.key != nil {
		return nil
	}
	j.claims, j.payload, j.compact = nil, nil, nil
	if j.key, j.set, fail = j.issuer.keys.find(ctx, j.header.kid); fail != nil {
		return fail
	}
	if j.compact, fail = parseCompact(j.token); fail != nil {
		return fail
	}
	j.payload = j.compact.payload
	j.claims, fail = parseClaims(j.payload, maxTime)
	return fail
}

// checkClock is after the signature: nobody but the provider's word says that clocks differ.
func checkClock(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.doubt }

func readBinding(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
	j.binding, fail = j.claims.binding()
	return fail
}

func readRoles(_ context.Context, _ *verifier, j *judgement) (fail *wire.Error) {
	if j.issuer.Profile == profileZitadel {
		j.metadata = j.claims.metadata()
	}
	j.roles, fail = j.claims.roles(j.issuer.RolesClaim)
	return fail
}

func checkCertificate(_ context.Context, _ *verifier, j *judgement) *wire.Error {
	return j.binding.check(j.certificate)
}
