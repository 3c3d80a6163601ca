package callout

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/wire"
)

func verified(exp time.Time) *wire.Verified {
	return &wire.Verified{Issuer: "https://idp.example.com", Subject: "314159", ExpiresAt: exp.Unix(), Claims: []byte(`{}`)}
}

func openedRequest(t testing.TB) *authRequest {
	t.Helper()
	server := newAuthority(t)
	req, fail := (&opener{keys: holding(), leeway: time.Second}).open(server.sign(server.claims(time.Now())), "", time.Now())
	if fail != nil {
		t.Fatal(fail)
	}
	return req
}

// serverReads decodes and validates an answer as nats-server does (server/auth_callout.go, decodeResponse).
func serverReads(t *testing.T, req *authRequest, answer []byte, issuer string) *jwt.AuthorizationResponseClaims {
	t.Helper()
	claims, err := jwt.DecodeAuthorizationResponseClaims(string(answer))
	if err != nil {
		t.Fatal(err)
	}
	vr := jwt.CreateValidationResults()
	claims.Validate(vr)
	if len(vr.Issues) > 0 {
		t.Fatal(vr.Issues[0])
	}
	if claims.Subject != req.UserNkey || claims.Audience != req.ServerID || claims.Issuer != issuer {
		t.Errorf("answer for %s of %s by %s", claims.Subject, claims.Audience, claims.Issuer)
	}
	return claims
}

func TestMintReferenceGrant(t *testing.T) {
	m, req, now := newMinter(t), openedRequest(t), time.Now()
	token, expires, fail := m.userJWT(req, verified(now.Add(time.Hour)), deviceGrant(), now)
	wantCode(t, fail, 0)
	answer, fail := m.admit(req, token, time.Now())
	wantCode(t, fail, 0)
	issuer := testIssuer.public
	response := serverReads(t, req, answer, issuer)
	user, err := jwt.DecodeUserClaims(response.Jwt)
	if err != nil {
		t.Fatal(err)
	}
	vr := jwt.CreateValidationResults()
	user.Validate(vr)
	if len(vr.Issues) > 0 {
		t.Fatal(vr.Issues[0])
	}
	if user.Subject != req.UserNkey || user.Audience != "DEVICES" || user.Name != "sensor-a" || user.Issuer != issuer ||
		user.IssuerAccount != "" || user.BearerToken {
		t.Errorf("user JWT is %v", user)
	}
	if user.Expires != expires.Unix() || user.Expires != now.Add(time.Hour).Unix() {
		t.Errorf("session ends at %d, want the token's exp", user.Expires)
	}
	if !slices.Equal(user.Pub.Allow, jwt.StringList{"device-state.sensor-a", "_INBOX.>"}) || len(user.Pub.Deny) != 0 ||
		!slices.Equal(user.Sub.Allow, jwt.StringList{"device-commands.sensor-a", "_INBOX.>"}) || len(user.Sub.Deny) != 0 || user.Resp != nil {
		t.Errorf("permissions are %+v", user.Permissions)
	}
}

func TestMintPermissions(t *testing.T) {
	closed := jwt.StringList{">"}
	internal := jwt.StringList{"auth.v1.>", "auth.kick.>", "_AUTH_INBOX.>", subjectAuthErrors, subjectServerInbox}
	allow := func(s ...string) wire.Permissions { return wire.Permissions{Allow: s} }
	for _, row := range []struct {
		name             string
		grant            wire.Grant
		pubDeny, subDeny jwt.StringList
	}{
		{"neither side", wire.Grant{}, closed, closed},
		{"only publish", wire.Grant{Publish: allow("a")}, nil, closed},
		{"only subscribe", wire.Grant{Subscribe: allow("a")}, closed, nil},
		{"only deny", wire.Grant{Publish: wire.Permissions{Deny: []string{"a"}}, Subscribe: allow("b")}, closed, nil},
		{"responses alone open nothing else", wire.Grant{Responses: &wire.Responses{Max: 1, TTLMillis: 1}}, closed, closed},
		{"everything, less the system's own", wire.Grant{Publish: allow(">"), Subscribe: allow(">")}, slices.Concat(internal, wide),
			slices.Concat(jwt.StringList{wire.SubjectUserAuth}, internal, wide)},
		{"own deny kept", wire.Grant{Publish: wire.Permissions{Allow: []string{"auth.*.x"}, Deny: []string{"auth.q.x"}}, Subscribe: allow("$SYS.>")},
			jwt.StringList{"auth.q.x", "auth.v1.>", "auth.kick.>"}, jwt.StringList{wire.SubjectUserAuth, subjectAuthErrors, subjectServerInbox, "$SYS.REQ.ACCOUNT.>", "$SYS.REQ.SERVER.>"}},
		{"by queue", wire.Grant{Publish: allow("b"), Subscribe: allow("auth.v1.token.check tokencheck")}, nil, jwt.StringList{"auth.v1.>"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newMinter(t).permissions(&row.grant)
			if !slices.Equal(p.Pub.Deny, row.pubDeny) || !slices.Equal(p.Sub.Deny, row.subDeny) {
				t.Errorf("publish deny %v, subscribe deny %v", p.Pub.Deny, p.Sub.Deny)
			}
			for _, side := range []jwt.Permission{p.Pub, p.Sub} {
				if side.Empty() {
					t.Error("a side is empty, which means everything")
				}
			}
		})
	}
}

// TestNoResponsesForWhoAsksItself: a deny does not keep a user from a subject that a request named.
func TestNoResponsesForWhoAsksItself(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprint("many.", i)
	}
	for _, row := range []struct {
		name               string
		publish, subscribe []string
		want               bool
	}{
		{"nothing else", nil, []string{"ask.a"}, true},
		{"other subjects", []string{"state.a", "ask.b"}, []string{"ask.a", "work workers"}, true},
		{"the same subject", []string{"state.a", "ask.a"}, []string{"ask.a"}, false},
		{"by a wildcard", []string{"ask.*"}, []string{"ask.a"}, false},
		{"the inbox of the reference flow", []string{"_INBOX.>"}, []string{"ask.a", "_INBOX.>"}, false},
		{"in a queue group", []string{"work"}, []string{"work workers"}, false},
		{"too many to tell", many, many, false},
	} {
		g := &wire.Grant{
			Publish: wire.Permissions{Allow: row.publish, Deny: row.publish}, Subscribe: wire.Permissions{Allow: row.subscribe},
			Responses: &wire.Responses{Max: 1, TTLMillis: 1000},
		}
		if got := newMinter(t).permissions(g).Resp != nil; got != row.want {
			t.Errorf("%s: responses %v, want %v", row.name, got, row.want)
		}
	}
}

func TestSessionEnd(t *testing.T) {
	now := time.Unix(1_800_000_000, 700_000_000)
	for _, row := range []struct {
		name       string
		token      time.Duration // exp against now
		grantMaxS  int64
		spreadWant time.Duration // the limit given to random; 0 for not called
		length     time.Duration
		code       wire.Code
	}{
		{"with the token", time.Hour, 0, 5 * time.Minute, time.Hour, 0},
		{"configured maximum", 48 * time.Hour, 0, 5 * time.Minute, 24 * time.Hour, 0},
		{"the grant's maximum", time.Hour, 600, time.Minute, 10 * time.Minute, 0},
		{"the grant's maximum is longer", time.Minute, 600, 6 * time.Second, time.Minute, 0},
		{"a tenth of a short session", 10 * time.Second, 0, time.Second, 10 * time.Second, 0},
		{"nothing left", 300 * time.Millisecond, 0, 0, 0, wire.TokenExpired},
		{"past", -time.Second, 0, 0, 0, wire.TokenExpired},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMinter(t)
			var limit time.Duration
			m.random = func(most time.Duration) time.Duration { limit = most; return most - 1 }
			exp := now.Add(row.token)
			end, fail := m.sessionEnd(exp.Unix(), row.grantMaxS, now)
			wantCode(t, fail, row.code)
			if fail != nil {
				return
			}
			if d := limit - row.spreadWant; d > time.Second || d < -time.Second {
				t.Errorf("spread of %s, want %s", limit, row.spreadWant)
			}
			earliest, latest := now.Add(row.length-row.spreadWant-2*time.Second), now.Add(row.length)
			if end.Before(earliest) || end.After(latest) || end.Nanosecond() != 0 {
				t.Errorf("ends at %s, want within %s and %s", end, earliest, latest)
			}
		})
	}
}

// TestSpread mints the sessions of a fleet whose tokens end at one moment, with the chance that the service uses: their ends lie
// evenly over the spread, none after the token's, none before the spread begins.
func TestSpread(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const fleet, parts = 20_000, 10
	for _, row := range []struct{ session, spread time.Duration }{
		{12 * time.Hour, 5 * time.Minute},   // as configured
		{20 * time.Minute, 2 * time.Minute}, // a tenth of the session
	} {
		m := newMinter(t)
		m.random = randomBelow
		exp := now.Add(row.session)
		var counts [parts]int
		for range fleet {
			end, fail := m.sessionEnd(exp.Unix(), 0, now)
			wantCode(t, fail, 0)
			early := exp.Sub(end)
			if early < 0 || early > row.spread || end.Nanosecond() != 0 {
				t.Fatalf("a session of %s ends %s before its token", row.session, early)
			}
			counts[min(int(early*parts/row.spread), parts-1)]++
		}
		for i, n := range counts {
			if share := float64(n) * parts / fleet; share < 0.8 || share > 1.2 { // nine standard deviations
				t.Errorf("%s: part %d of the spread has %.2f of its share: %v", row.session, i, share, counts)
			}
		}
	}
}

func TestSessionName(t *testing.T) {
	for _, row := range []struct{ device, subject, want string }{
		{"sensor-a", "314159", "sensor-a"},
		{"", "314159", "314159"},
		{"", "a\nb", ""},
	} {
		if got := sessionName(&wire.Verified{Subject: row.subject}, &wire.Grant{Device: row.device}); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

func TestGrantTooLarge(t *testing.T) {
	m, req, now := newMinter(t), openedRequest(t), time.Now()
	g := deviceGrant()
	for i := range 10_000 {
		g.Publish.Allow = append(g.Publish.Allow, fmt.Sprintf("device-state.sensor-a.channel-%05d", i))
	}
	wantCode(t, checkGrant(g, []string{"DEVICES"}), 0)
	_, _, fail := m.userJWT(req, verified(now.Add(time.Hour)), g, now)
	wantCode(t, fail, wire.GrantTooLarge)
}

func TestDenialTellsNothing(t *testing.T) {
	m, req := newMinter(t), openedRequest(t)
	answer, fail := m.deny(req, time.Now())
	wantCode(t, fail, 0)
	claims := serverReads(t, req, answer, testIssuer.public)
	if claims.Error != denialText || claims.Jwt != "" {
		t.Errorf("denied with %q", claims.Error)
	}
}

func TestAnswerToSealedRequestIsSealed(t *testing.T) {
	now := time.Now()
	server, mine := newAuthority(t), must(nkeys.CreateCurveKeys())
	mineID := must(mine.PublicKey())
	claims := server.claims(now)
	claims.Server.XKey = server.xkeyID
	req, fail := (&opener{keys: holding(mine), leeway: time.Second}).open(server.seal(server.sign(claims), mineID), server.xkeyID, now)
	wantCode(t, fail, 0)
	m := newMinter(t)
	sealed, fail := m.deny(req, time.Now())
	wantCode(t, fail, 0)
	answer, err := server.xkey.Open(sealed, mineID)
	if err != nil {
		t.Fatal(err)
	}
	serverReads(t, req, answer, testIssuer.public)
}
