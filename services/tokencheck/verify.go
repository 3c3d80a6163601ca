package tokencheck

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

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
}

// proof waits for nothing: it is what several logins with one token make once together.
var proof = []check{
	{"signature", func(_ context.Context, _ *verifier, j *judgement) *wire.Error {
		return checkSignature(j.compact, j.header.Algorithm, j.key)
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

// forThisLogin is made each time, also for a token that was verified a moment ago.
var forThisLogin = []check{
	{"certificate", func(_ context.Context, _ *verifier, j *judgement) *wire.Error { return j.binding.check(j.certificate) }},
}

// judge judges one token. certificateSHA256 is as in wire.CheckRequest. ctx bounds what the checks may wait for. The result
// is shared: nobody may change it.
func (v *verifier) judge(ctx context.Context, token, certificateSHA256 string) (*verdict, *wire.Error) {
	j := &judgement{token: token, certificate: certificateSHA256}
	known, fail := v.establish(ctx, j)
	if fail != nil {
		return nil, fail
	}
	if fail := v.walk(ctx, j, forThisLogin, nil); fail != nil {
		return nil, fail
	}
	return known, nil
}

// establish fills j with what is remembered of its token or, where nothing is, by the checks of the token itself.
func (v *verifier) establish(ctx context.Context, j *judgement) (*verdict, *wire.Error) {
	var sum [sha256.Size]byte
	if len(j.token) <= wire.MaxTokenBytes { // a longer one is refused by the first check
		sum = sha256.Sum256([]byte(j.token))
		if known := v.remembered(sum, v.now()); known != nil {
			known.recall(j)
			return known, nil
		}
	}
	if fail := v.walk(ctx, j, examination, nil); fail != nil {
		return nil, fail
	}
	known, fail := j.issuer.verdicts.once(verdictKey{sum, j.set.generation}, v.now(), func() (*verdict, *wire.Error) {
		if fail := v.walk(ctx, j, proof, nil); fail != nil {
			return nil, fail
		}
		return j.conclude(v.now())
	})
	if fail == nil {
		known.recall(j) // another login may have made it
	}
	return known, fail
}

// remembered asks every issuer, because only the token itself says whose it is, and it is not to be read for this.
func (v *verifier) remembered(sum [sha256.Size]byte, now time.Time) *verdict {
	for _, iss := range v.issuers {
		if known := iss.remembered(sum, now); known != nil {
			return known
		}
	}
	return nil
}

// walk puts a token through these checks until one fails, and tells saw of each; nil for nobody to tell.
func (v *verifier) walk(ctx context.Context, j *judgement, these []check, saw func(check string, fail *wire.Error)) *wire.Error {
	for i := range these {
		fail := these[i].do(ctx, v, j)
		if saw != nil {
			saw(these[i].name, fail)
		}
		if fail != nil {
			return j.name(fail, these[i].name)
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
