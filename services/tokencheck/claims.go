package tokencheck

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

// claims is a token's payload: its registered claims (RFC 7519 section 4.1) with their types checked, and all members
// as they stand. Times are Unix seconds; has tells an absent one from 0.
type claims struct {
	all      map[string]json.RawMessage
	issuer   string
	subject  string
	audience []string
	expires  int64
	issued   int64
	before   int64
	has      struct{ expires, issued, before bool }
	id       string
}

const (
	maxSubjectBytes = 256
	maxAudiences    = 64
	// maxTime is the largest time accepted in a JWT, in the year 2286: a time in milliseconds lies beyond it.
	maxTime = 9_999_999_999
)

var (
	claimLimits = strictjson.Limits{MaxBytes: wire.MaxClaimsBytes, MaxDepth: 12, MaxMembers: 2048}
	claimNames  = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "at_hash", "events", "cnf", "client_id", "scope", "typ", "token_use", "token_type", "active"}
)

// parseClaims reads a payload strictly. Times lie before latest.
func parseClaims(data []byte, latest int64) (*claims, *wire.Error) {
	members, err := strictjson.Members(data, claimLimits, claimNames...)
	if err != nil {
		return nil, wire.Fail(wire.TokenMalformed, "payload", err)
	}
	c := &claims{all: members}
	for _, text := range []struct {
		name string
		into *string
	}{{"iss", &c.issuer}, {"sub", &c.subject}, {"jti", &c.id}} {
		if raw, ok := c.all[text.name]; ok && !isString(raw, text.into) {
			return nil, wire.Fail(wire.ClaimInvalid, text.name+" is not a string", nil)
		}
	}
	for _, date := range []struct {
		name string
		into *int64
		has  *bool
	}{{"exp", &c.expires, &c.has.expires}, {"iat", &c.issued, &c.has.issued}, {"nbf", &c.before, &c.has.before}} {
		raw, ok := c.all[date.name]
		if !ok {
			continue
		}
		if *date.into, *date.has = numericDate(raw, latest); !*date.has {
			return nil, wire.Fail(wire.ClaimInvalid, date.name+" is not a time in seconds", nil)
		}
	}
	var ok bool
	if c.audience, ok = audience(c.all["aud"]); !ok {
		return nil, wire.Fail(wire.ClaimInvalid, "aud is not a string or a list of strings", nil)
	}
	return c, nil
}

// isString decodes raw, a value of strict JSON, into s; null is no string.
func isString(raw json.RawMessage, s *string) bool {
	if len(raw) < 2 || raw[0] != '"' {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		*s = string(raw[1 : len(raw)-1])
		return true
	}
	return json.Unmarshal(raw, s) == nil
}

// numericDate reads a NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction, which is cut off.
func numericDate(raw json.RawMessage, latest int64) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, n >= 0 && n <= latest
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > float64(latest) {
		return 0, false
	}
	return int64(f), true
}

// audience reads aud: one string or a list of them (RFC 7519 section 4.1.3). Absent is an empty list.
func audience(raw json.RawMessage) ([]string, bool) {
	if raw == nil {
		return nil, true
	}
	var one string
	if isString(raw, &one) {
		return []string{one}, true
	}
	if list, ok := texts(raw); ok && len(list) <= maxAudiences {
		return list, true
	}
	return nil, false
}

// texts decodes raw, a value of strict JSON, when it is an array of strings; null in it is none.
func texts(raw json.RawMessage) ([]string, bool) {
	if len(raw) < 2 || raw[0] != '[' {
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		return escapedTexts(raw)
	}
	out := make([]string, 0, 2)
	rest := raw[1 : len(raw)-1]
	for {
		begin := bytes.IndexByte(rest, '"')
		between := rest
		if begin >= 0 {
			between = rest[:begin]
		}
		// Strict JSON has a comma between two elements and nowhere else, so that anything besides is another kind of value.
		if len(bytes.Trim(between, ", \t\r\n")) > 0 {
			return nil, false
		}
		if begin < 0 {
			return out, true
		}
		rest = rest[begin+1:]
		end := bytes.IndexByte(rest, '"')
		out, rest = append(out, string(rest[:end])), rest[end+1:]
	}
}

func escapedTexts(raw json.RawMessage) ([]string, bool) {
	var list []*string
	if json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
		return nil, false
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = *s
	}
	return out, true
}

// checkAudience wants one of the issuer's audiences (RFC 7519 section 4.1.3, RFC 8725 section 3.9).
func (c *claims) checkAudience(cfg *IssuerConfig) *wire.Error {
	names := c.audience
	if cfg.AudienceClaim != "aud" {
		var ok bool
		if names, ok = audience(c.all[cfg.AudienceClaim]); !ok {
			return wire.Fail(wire.ClaimInvalid, cfg.AudienceClaim+" is not a string or a list of strings", nil)
		}
	}
	if !slices.ContainsFunc(names, func(a string) bool { return slices.Contains(cfg.Audiences, a) }) {
		return wire.Fail(wire.AudienceMismatch, "", nil)
	}
	return nil
}

func (c *claims) checkSubject() *wire.Error {
	if c.subject == "" || len(c.subject) > maxSubjectBytes {
		return wire.Fail(wire.SubjectInvalid, "", nil)
	}
	return nil
}

func (c *claims) checkRequired(all []required) *wire.Error {
	for _, r := range all {
		if !r.metBy(c.all[r.claim]) {
			return wire.Fail(wire.RequiredClaimMismatch, bounded(r.claim), nil)
		}
	}
	return nil
}

// clockDoubt is how far beyond the leeway, in seconds, a time in the future speaks of a wrong clock rather than of a bad token.
const clockDoubt = 120

// ahead fails for a time that lies in the future by so many seconds. A little ahead is no definite answer: another replica, or
// this one a moment later, says otherwise, and a fleet with fresh tokens must not be lost to the clock of one host.
func ahead(code wire.Code, by int64) *wire.Error {
	if by <= clockDoubt {
		return wire.Fail(wire.ClockDisagrees, code.String(), nil)
	}
	return wire.Fail(code, "", nil)
}

// checkTimes judges exp, nbf and iat with the issuer's leeway, and how long the token lives.
func (c *claims) checkTimes(cfg *IssuerConfig, now int64) *wire.Error {
	if !c.has.expires {
		return wire.Fail(wire.ClaimInvalid, "exp is missing", nil)
	}
	if fail := c.checkValidity(cfg, now); fail != nil {
		return fail
	}
	leeway, lifetime := int64(*cfg.Leeway/time.Second), int64(cfg.MaxLifetime/time.Second)
	if c.expires-now > lifetime+leeway || c.has.issued && c.expires-c.issued > lifetime {
		return wire.Fail(wire.TokenLifetimeTooLong, "", nil)
	}
	return nil
}

// checkValidity judges exp, nbf and iat (RFC 7519 sections 4.1.4 to 4.1.6) with the issuer's leeway.
func (c *claims) checkValidity(cfg *IssuerConfig, now int64) *wire.Error {
	leeway := int64(*cfg.Leeway / time.Second)
	switch {
	case now >= c.expires+leeway:
		return wire.Fail(wire.TokenExpired, "", nil)
	case c.has.before && now < c.before-leeway:
		return ahead(wire.TokenNotYetValid, c.before-leeway-now)
	case c.has.issued && now < c.issued-leeway:
		return ahead(wire.TokenIssuedInFuture, c.issued-leeway-now)
	}
	return nil
}
