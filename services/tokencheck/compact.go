package tokencheck

import (
	"encoding/base64"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// compact is a token in JWS compact serialization (RFC 7515 section 3.1), cut into its parts and decoded. Nothing of it
// is verified.
type compact struct {
	text      string // the whole token
	header    []byte // JSON
	payload   []byte // JSON
	signature []byte
}

// parseCompact cuts a token. It accepts exactly three parts of exact base64url: without padding, white space or
// non-zero trailing bits, so that no two texts are the same token.
func parseCompact(token string) (*compact, *wire.Error) {
	if token == "" {
		return nil, wire.Fail(wire.TokenMalformed, "empty", nil)
	}
	if len(token) > wire.MaxTokenBytes {
		return nil, wire.Fail(wire.TokenTooLarge, "", nil)
	}
	switch shapeOf(token) {
	case shapeNone:
		return nil, wire.Fail(wire.TokenMalformed, "characters that no token has", nil)
	case shapeJWE:
		return nil, wire.Fail(wire.TokenEncrypted, "", nil)
	case shapeOpaque:
		return nil, wire.Fail(wire.TokenOpaque, "no issuer is configured with introspect: opaque or always", nil)
	}
	if strings.Count(token, ".") != 2 {
		return nil, wire.Fail(wire.TokenMalformed, "not three parts", nil)
	}
	c := &compact{text: token}
	rest := token
	for _, part := range []struct {
		name string
		into *[]byte
	}{{"header", &c.header}, {"payload", &c.payload}, {"signature", &c.signature}} {
		var segment string
		segment, rest, _ = strings.Cut(rest, ".")
		decoded, ok := decodeSegment(segment)
		if !ok {
			return nil, wire.Fail(wire.TokenMalformed, part.name+" is not base64url", nil)
		}
		*part.into = decoded
	}
	return c, nil
}

// signed returns what the signature is made over (RFC 7515 section 5.2): everything before the second dot.
func (c *compact) signed() string { return c.text[:strings.LastIndexByte(c.text, '.')] }

var strictBase64 = base64.RawURLEncoding.Strict()

// decodeSegment decodes one part. The library skips line breaks, so these are looked for first.
func decodeSegment(s string) ([]byte, bool) {
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, false
	}
	decoded, err := strictBase64.DecodeString(s)
	return decoded, err == nil
}
