package tokencheck

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

// header is the JOSE header (RFC 7515 section 4) as far as it is used.
type header struct {
	Algorithm string
	KeyID     json.RawMessage // as it stands; nil when absent, and when kid is read

	kid string
	typ string // in small letters and without application/; empty when absent
}

const (
	maxHeaderBytes = 2 << 10
	maxKeyIDBytes  = 256
)

var (
	headerLimits = strictjson.Limits{MaxBytes: maxHeaderBytes, MaxDepth: 4, MaxMembers: 32}
	headerNames  = []string{"alg", "kid", "typ", "cty", "crit", "b64", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc"}
)

// forbiddenHeaders must not be there: each would have the token itself say how it is to be verified (RFC 8725 section
// 3.10), or belongs to a JWE (RFC 7516 sections 4.1.2 and 4.1.3).
var forbiddenHeaders = []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"}

// parseHeader reads a header strictly and refuses what no token for this system carries.
func parseHeader(data []byte) (*header, *wire.Error) {
	members, err := strictjson.Members(data, headerLimits, headerNames...)
	if err != nil {
		return nil, wire.Fail(wire.TokenMalformed, "header", err)
	}
	for _, name := range forbiddenHeaders {
		if _, there := members[name]; there {
			return nil, wire.Fail(wire.HeaderForbidden, name, nil)
		}
	}
	h := &header{KeyID: members["kid"]}
	if alg, there := members["alg"]; there && string(alg) != "null" && !isString(alg, &h.Algorithm) {
		return nil, wire.Fail(wire.TokenMalformed, "header: alg is not a string", nil)
	}
	if typ, there := members["typ"]; there {
		if !isString(typ, &h.typ) || h.typ == "" {
			return nil, wire.Fail(wire.TokenMalformed, "header: typ is not a media type", nil)
		}
		// It compares without case and without the prefix application/ (RFC 7515 section 4.1.9).
		h.typ = strings.TrimPrefix(strings.ToLower(h.typ), "application/")
	}
	return h, nil
}

// checkAlgorithm holds alg against an issuer's list (RFC 8725 section 3.1).
func (h *header) checkAlgorithm(c *IssuerConfig) *wire.Error {
	if !slices.Contains(c.Algorithms, h.Algorithm) {
		return wire.Fail(wire.AlgorithmNotAllowed, bounded(h.Algorithm), nil)
	}
	return nil
}

func (h *header) checkType(mode string) *wire.Error {
	if !h.typeAllowed(mode) {
		return wire.Fail(wire.TokenWrongKind, "typ", nil)
	}
	return nil
}

// checkKeyID reads kid. A token may carry none (RFC 7515 section 4.1.4): it is then verified with the issuer's only key, and
// refused when there are several. After a rotation such tokens are refused until the next scheduled refresh, because a bad
// signature never causes one.
func (h *header) checkKeyID() *wire.Error {
	if h.KeyID == nil {
		return nil
	}
	if !isString(h.KeyID, &h.kid) || h.kid == "" || len(h.kid) > maxKeyIDBytes || strings.ContainsFunc(h.kid, notPrintable) {
		return wire.Fail(wire.KeyIDMissing, "", nil)
	}
	h.KeyID = nil // a part of the whole header, which would be kept with it
	return nil
}

// typAccessToken is the typ of an access token (RFC 9068 section 2.1).
const typAccessToken = "at+jwt"

// typeAllowed judges typ. A wrong one is how ID, logout and event tokens with the same issuer and keys are told apart (RFC
// 8725 section 3.11, RFC 9068 section 4).
func (h *header) typeAllowed(mode string) bool {
	switch mode {
	case typeIgnore:
		return true
	case typeAccept:
		return h.typ == typAccessToken || h.typ == "jwt" || h.typ == ""
	}
	return h.typ == typAccessToken
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// bounded returns a short text from a token, fit for a record: printable and of at most 64 bytes.
func bounded(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || notPrintable(r) {
			return '?'
		}
		return r
	}, s)
}
