package tokencheck

import (
	"context"
	"crypto/sha256"
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// verifier judges tokens of the configured issuers. Safe for concurrent use.
type verifier struct {
	issuers map[string]*issuer // by exact iss
	opaque  *issuer            // of them the one that opaque tokens are taken to; nil for none
	now     func() time.Time
}

// add makes an issuer known; the configuration's check saw that at most one takes opaque tokens.
func (v *verifier) add(iss *issuer) {
	v.issuers[iss.Issuer] = iss
	if iss.takesOpaque() {
		v.opaque = iss
	}
}

// judgement is one token on its way through the checks, which fill it from top to bottom. Nothing of it is to be believed
// before all of them passed.
type judgement struct {
	token       string
	certificate string // as CertificateSHA256 in wire.CheckRequest

	compact *compact // of a JWT alone, as header, key and set
	header  *header
	payload []byte // of a JWT, or what introspection says of an opaque token
	claims  *claims
	issuer  *issuer
	key     *key
	set     *keySet
	roles   []string
	// narrowed says that the user lost some of the roles that the token was issued with.
	narrowed bool
	// metadata are decoded, with the profile zitadel alone.
	metadata map[string]string
	binding  binding
	// doubt is what fails the token if its signature verifies: that its times are a little ahead.
	doubt *wire.Error
}

// judge judges one token. certificateSHA256 is as in wire.CheckRequest. ctx bounds what the checks may wait for. The result
// is shared: nobody may change it.
func (v *verifier) judge(ctx context.Context, token, certificateSHA256 string) (*verdict, *wire.Error) {
	j := &judgement{token: token, certificate: certificateSHA256}
	if v.isOpaque(token) { // what is said of it is remembered by the issuer's introspector
		if fail := v.walk(ctx, j, opaqueChecks, nil); fail != nil {
			return nil, fail
		}
		return j.conclude(v.now())
	}
	known, fail := v.establish(ctx, j)
	if fail != nil {
		return nil, fail
	}
	if fail := v.walk(ctx, j, forThisLogin, nil); fail != nil {
		return nil, fail
	}
	if j.narrowed {
		return known.withRoles(j.roles)
	}
	return known, nil
}

// isOpaque reports whether a token is taken to introspection: where an issuer takes opaque ones, what is no JWT is.
func (v *verifier) isOpaque(token string) bool {
	if v.opaque == nil {
		return false
	}
	s := shapeOf(token)
	return s == shapeOpaque || s == shapeJWE
}

// checksOf returns all checks of a token, in their order.
func (v *verifier) checksOf(token string) []check {
	if v.isOpaque(token) {
		return opaqueChecks
	}
	return checks
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
	v := &wire.Verified{
		Issuer: j.issuer.Issuer, Subject: c.subject, ExpiresAt: c.expires, IssuedAt: c.issued,
		TokenID: bounded(c.id), Roles: j.roles, Metadata: j.metadata, Claims: j.payload,
	}
	if j.header != nil {
		v.KeyID, v.Algorithm, v.KeySet = j.header.kid, j.header.Algorithm, j.set.hash
	}
	return v
}
