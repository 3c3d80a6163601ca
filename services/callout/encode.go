package callout

import (
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/strictjson"
)

// userClaims are the parts of a user JWT that a session of this system has.
type userClaims struct {
	audience, subject, name string
	expires                 int64
	permissions             jwt.Permissions
}

// encode returns the user JWT, byte for byte as jwt/v2 encodes the same claims, with the limits of NewUserClaims.
func (c *userClaims) encode(key nkeys.KeyPair, now time.Time) (string, error) {
	if !nkeys.IsValidPublicUserKey(c.subject) {
		return "", errors.New("the subject is not a user key")
	}
	return encodeJWT(key, now, registered{audience: c.audience, expires: c.expires, name: c.name, subject: c.subject}, c.append)
}

// noLimits are the limits that NewUserClaims sets, with the type and version that Encode adds.
const noLimits = `"subs":-1,"data":-1,"payload":-1,"type":"user","version":2}`

func (c *userClaims) append(b []byte) []byte {
	b = appendPermission(append(b, `{"pub":`...), c.permissions.Pub)
	b = appendPermission(append(b, `,"sub":`...), c.permissions.Sub)
	if r := c.permissions.Resp; r != nil {
		b = strconv.AppendInt(append(b, `,"resp":{"max":`...), int64(r.MaxMsgs), 10)
		b = strconv.AppendInt(append(b, `,"ttl":`...), int64(r.Expires), 10)
		b = append(b, '}')
	}
	return append(append(b, ','), noLimits...)
}

func appendPermission(b []byte, p jwt.Permission) []byte {
	b = append(b, '{')
	if len(p.Allow) > 0 {
		b = strictjson.AppendTexts(append(b, `"allow":`...), p.Allow)
	}
	if len(p.Deny) > 0 {
		if len(p.Allow) > 0 {
			b = append(b, ',')
		}
		b = strictjson.AppendTexts(append(b, `"deny":`...), p.Deny)
	}
	return append(b, '}')
}

// responseClaims are those of an answer: exactly one of userJWT and refusal.
type responseClaims struct {
	audience, subject string
	userJWT, refusal  string
}

// encode returns the answer's JWT, byte for byte as jwt/v2 encodes the same claims.
func (c *responseClaims) encode(key nkeys.KeyPair, now time.Time) (string, error) {
	return encodeJWT(key, now, registered{audience: c.audience, subject: c.subject}, c.append)
}

func (c *responseClaims) append(b []byte) []byte {
	b = append(b, '{')
	if c.userJWT != "" {
		b = append(strictjson.AppendText(append(b, `"jwt":`...), c.userJWT), ',')
	}
	if c.refusal != "" {
		b = append(strictjson.AppendText(append(b, `"error":`...), c.refusal), ',')
	}
	return append(b, `"type":"authorization_response","version":2}`...)
}

// registered are the claims outside the member nats (jwt/v2, ClaimsData).
type registered struct {
	audience        string
	expires         int64
	id              string
	issuedAt        int64
	issuer, subject string
	name            string
}

func (c *registered) append(b []byte) []byte {
	b = append(b, '{')
	text := func(name, s string) {
		if s != "" {
			b = append(strictjson.AppendText(append(b, name...), s), ',')
		}
	}
	number := func(name string, n int64) {
		if n != 0 {
			b = append(strconv.AppendInt(append(b, name...), n, 10), ',')
		}
	}
	text(`"aud":`, c.audience)
	number(`"exp":`, c.expires)
	text(`"jti":`, c.id)
	number(`"iat":`, c.issuedAt)
	text(`"iss":`, c.issuer)
	text(`"name":`, c.name)
	text(`"sub":`, c.subject)
	return b // with a comma at the end: more follows
}

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// encodeJWT writes header, payload and signature. jti is the hash of the registered claims without it, as in jwt/v2
// (claims.go, ClaimsData.hash).
func encodeJWT(key nkeys.KeyPair, now time.Time, c registered, nats func([]byte) []byte) (string, error) {
	issuer, err := key.PublicKey()
	if err != nil {
		return "", err
	}
	c.issuer, c.issuedAt = issuer, now.Unix()
	var room [1536]byte
	b := c.append(room[:0])
	b[len(b)-1] = '}'
	sum := sha512.Sum512_256(b)
	c.id = idEncoding.EncodeToString(sum[:])
	b = nats(append(c.append(b[:0]), `"nats":`...))
	b = append(b, '}')

	out := make([]byte, 0, len(jwtHeader)+2+base64.RawURLEncoding.EncodedLen(len(b))+base64.RawURLEncoding.EncodedLen(64))
	out = append(append(out, jwtHeader...), '.')
	out = base64.RawURLEncoding.AppendEncode(out, b)
	signature, err := key.Sign(out)
	if err != nil {
		return "", err
	}
	return string(base64.RawURLEncoding.AppendEncode(append(out, '.'), signature)), nil
}
