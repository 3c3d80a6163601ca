package callout

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"harmony.internal/authcallout/shared/wire"
)

// denialText is all that a device is told (the server logs it; the client sees an authorization violation). The reason
// is in the decision record.
const denialText = "not authorized"

// spreadShare bounds the random spread to a part of the session: one tenth.
const spreadShare = 10

// minter turns grants into signed answers. Safe for concurrent use.
type minter struct {
	// maxSession bounds every session, 0 for no bound; spread the random part taken off its end (DESIGN P8).
	maxSession, spread time.Duration
	// maxUserJWT bounds a user JWT in bytes.
	maxUserJWT int
	fence      fence
	// random returns a duration in [0, limit).
	random func(limit time.Duration) time.Duration
}

// userJWT mints the user JWT for req and returns it with the moment at which the session ends. g passed checkGrant.
func (m *minter) userJWT(req *authRequest, v *wire.Verified, g *wire.Grant, now time.Time) (string, time.Time, *wire.Error) {
	expires, fail := m.sessionEnd(v.ExpiresAt, g.MaxSessionSeconds, now)
	if fail != nil {
		return "", time.Time{}, fail
	}
	claims := userClaims{
		audience: g.Account, subject: req.UserNkey, name: sessionName(v, g), expires: expires.Unix(), permissions: m.permissions(g),
	}
	token, err := claims.encode(req.signer, now)
	if err != nil {
		return "", time.Time{}, wire.Fail(wire.Internal, "encode the user JWT", err)
	}
	if len(token) > m.maxUserJWT {
		return "", time.Time{}, wire.Fail(wire.GrantTooLarge, "user JWT of "+strconv.Itoa(len(token))+" bytes", nil)
	}
	return token, expires, nil
}

// sessionEnd returns the smallest of the token's exp, the configured maximum and the grant's, less the spread, in whole
// seconds as a JWT carries it.
func (m *minter) sessionEnd(tokenExp, grantMaxS int64, now time.Time) (time.Time, *wire.Error) {
	end := time.Unix(tokenExp, 0)
	if m.maxSession > 0 {
		end = earlier(end, now.Add(m.maxSession))
	}
	if grantMaxS > 0 {
		end = earlier(end, now.Add(time.Duration(grantMaxS)*time.Second))
	}
	length := end.Sub(now)
	if length < time.Second {
		return time.Time{}, wire.Fail(wire.TokenExpired, "less than a second is left of it", nil)
	}
	if spread := min(m.spread, length/spreadShare); spread > 0 {
		end = end.Add(-m.random(spread))
	}
	return end.Truncate(time.Second), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sessionName is what connection listings and server events show in place of the user name: the device id, or the
// token's subject where the rules define none.
func sessionName(v *wire.Verified, g *wire.Grant) string {
	switch {
	case g.Device != "":
		return g.Device
	case isText(v.Subject, maxDeviceID):
		return v.Subject
	}
	return ""
}

// permissions closes every side that has no grant: an empty allow list in a user JWT means everything (DESIGN P5).
func (m *minter) permissions(g *wire.Grant) jwt.Permissions {
	p := jwt.Permissions{
		Pub: side(g.Publish, m.fence.publish),
		Sub: side(g.Subscribe, m.fence.subscribe),
	}
	if g.Responses != nil && !asksItself(g) {
		p.Resp = &jwt.ResponsePermission{
			MaxMsgs: g.Responses.Max,
			Expires: time.Duration(g.Responses.TTLMillis) * time.Millisecond,
		}
	}
	return p
}

// maxAsked bounds the pairs of subjects that asksItself looks at.
const maxAsked = 1 << 16

// asksItself says whether a user could send a request to itself, also when finding out would take too long. It gets no responses:
// nats-server lets it publish on whatever subject such a request names, which no deny takes away (server/client.go,
// pubAllowedFullCheck), internal ones too.
func asksItself(g *wire.Grant) bool {
	if len(g.Publish.Allow)*len(g.Subscribe.Allow) > maxAsked {
		return true
	}
	for _, s := range g.Subscribe.Allow {
		subject, _, _ := strings.Cut(s, " ")
		if slices.ContainsFunc(g.Publish.Allow, func(p string) bool { return overlap(p, subject) }) {
			return true
		}
	}
	return false
}

func side(p wire.Permissions, internal []string) jwt.Permission {
	if len(p.Allow) == 0 {
		return jwt.Permission{Deny: jwt.StringList{">"}}
	}
	out := jwt.Permission{Allow: jwt.StringList(p.Allow), Deny: jwt.StringList(p.Deny)}
	if more := append(denies(internal, p.Allow), deniesWide(p.Allow)...); len(more) > 0 {
		out.Deny = append(append(jwt.StringList(nil), p.Deny...), more...)
	}
	return out
}

// admit returns the answer that admits req with userJWT.
func (m *minter) admit(req *authRequest, userJWT string, now time.Time) ([]byte, *wire.Error) {
	return m.answer(req, &responseClaims{userJWT: userJWT}, now)
}

// deny returns the answer that refuses req, in words that tell nothing.
func (m *minter) deny(req *authRequest, now time.Time) ([]byte, *wire.Error) {
	return m.answer(req, &responseClaims{refusal: denialText}, now)
}

// answer signs claims for the server that asked, by the key that it trusts, and seals the result when the request was
// sealed.
func (m *minter) answer(req *authRequest, claims *responseClaims, now time.Time) ([]byte, *wire.Error) {
	claims.audience, claims.subject = req.ServerID, req.UserNkey
	token, err := claims.encode(req.signer, now)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "encode the response", err)
	}
	if req.sealer == nil {
		return []byte(token), nil
	}
	sealed, err := req.sealer.Seal([]byte(token), req.ServerXKey)
	if err != nil {
		return nil, wire.Fail(wire.Internal, "seal the response", err)
	}
	return sealed, nil
}
