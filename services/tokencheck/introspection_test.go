package tokencheck

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/natstest"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

const (
	apiClient = "400938672666447974@authcallout"
	apiSecret = "s%cret +/:ü"
)

// introspecting is the configuration of an issuer that is asked about tokens with client_secret_basic.
func introspecting(t testing.TB, idp *oidctest.Issuer, which string) IssuerConfig {
	t.Helper()
	idp.AddClient(apiClient, apiSecret)
	cfg := issuerConfig(idp.URL)
	cfg.Introspect = which
	cfg.Introspection = &IntrospectionConfig{ClientID: apiClient, ClientSecretFile: secretFile(t, "secret", apiSecret)}
	cfg.setDefaults()
	return cfg
}

func ptr[T any](v T) *T { return &v }

func TestOpaqueTokens(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectOpaque)
	cfg.RequiredClaims = map[string]any{"tenant": "a"}
	b := newBench(t, cfg)
	base := idp.AccessToken("sensor-a").With(oidctest.Claims{"tenant": "a"})
	now := time.Now().Unix()
	for _, tt := range []struct {
		name   string
		change oidctest.Claims
		want   wire.Code
	}{
		{"as it is", nil, 0},
		{"no iss", oidctest.Claims{"iss": nil}, 0},
		{"no exp", oidctest.Claims{"exp": nil}, 0},
		{"exp in the year 9999", oidctest.Claims{"exp": int64(maxFarTime), "iat": now - 400*86400}, 0},
		{"no jti", oidctest.Claims{"jti": nil}, 0},
		{"another iss", oidctest.Claims{"iss": "https://evil.example.com"}, wire.IssuerUnknown},
		{"no aud", oidctest.Claims{"aud": nil}, wire.AudienceMismatch},
		{"another aud", oidctest.Claims{"aud": "x"}, wire.AudienceMismatch},
		{"no sub", oidctest.Claims{"sub": nil}, wire.SubjectInvalid},
		{"expired, by our clock", oidctest.Claims{"exp": now - 31}, wire.TokenExpired},
		{"not yet", oidctest.Claims{"nbf": now + 300}, wire.TokenNotYetValid},
		{"a refresh token", oidctest.Claims{"token_use": "refresh_token"}, wire.TokenWrongKind},
		{"required claim differs", oidctest.Claims{"tenant": "b"}, wire.RequiredClaimMismatch},
		{"roles of the wrong type", oidctest.Claims{oidctest.RolesClaim: 1}, wire.ClaimInvalid},
		{"bound to a DPoP key", oidctest.Claims{"cnf": map[string]any{"jkt": other}}, wire.BindingUnsupported},
		{"bound to a certificate", oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint}}, wire.CertificateMismatch},
	} {
		b.want(tt.name, idp.Opaque(base.With(tt.change)), tt.want)
	}
	bound := idp.Opaque(base.With(oidctest.Claims{"cnf": map[string]any{"x5t#S256": thumbprint}}))
	if _, fail := b.check(bound, thumbprint); fail != nil {
		t.Errorf("bound, with its certificate: %v", fail)
	}
	v, fail := b.check(idp.Opaque(base), "")
	if fail != nil {
		t.Fatal(fail)
	}
	if v.Issuer != idp.URL || v.Subject != base["sub"] || v.ExpiresAt != base["exp"] || fmt.Sprint(v.Roles) != "[device]" || v.KeyID+v.Algorithm+v.KeySet != "" ||
		!strings.Contains(string(v.Claims), `"device_id":"sensor-a"`) {
		t.Errorf("verified %+v", v)
	}
	// One that never expires makes a session that does.
	v, fail = b.check(idp.Opaque(base.With(oidctest.Claims{"exp": int64(maxFarTime)})), "")
	if fail != nil || v.ExpiresAt < now+86400 || v.ExpiresAt > now+86400+600 {
		t.Errorf("the session ends at %d, now is %d: %v", v.ExpiresAt, now, fail)
	}
	b.want("a JWE goes the same way", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", wire.TokenInactive)
	b.want("unknown to the provider", "dGhpcyBpcyBvcGFxdWU", wire.TokenInactive)
	b.want("over the issuer's size", strings.Repeat("x", 9000), wire.TokenTooLarge)
	before := idp.Introspections()
	b.want("a JWT is judged by itself", idp.Mint(t, "RS256", base), 0)
	b.want("a broken JWT", idp.Mint(t, "RS256", base)[:500], wire.TokenMalformed)
	if n := idp.Introspections() - before; n != 0 {
		t.Errorf("%d questions about JWTs", n)
	}
}

// TestOpaqueGoesToOneIssuer: such a token does not say whose it is, and nobody else learns of it.
func TestOpaqueGoesToOneIssuer(t *testing.T) {
	one, two := oidctest.New(t), oidctest.New(t)
	b := newBench(t, introspecting(t, one, introspectJWT), introspecting(t, two, introspectOpaque))
	token := two.Opaque(two.AccessToken("a"))
	b.want("of the one that takes them", token, 0)
	b.want("of the other", one.Opaque(one.AccessToken("a")), wire.TokenInactive)
	if n := one.Introspections(); n != 0 {
		t.Errorf("the first was asked %d times", n)
	}
	b.want("a JWT of the first", one.Token(t, "a"), 0)
	if n := one.Introspections(); n != 1 {
		t.Errorf("the first was asked %d times about its JWT", n)
	}
}

func TestIntrospectAlways(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectAlways)
	cfg.Introspection.CacheTTL, cfg.Introspection.InactiveTTL = ptr(time.Duration(0)), ptr(time.Duration(0))
	b := newBench(t, cfg)
	claims := idp.AccessToken("a").With(oidctest.Claims{oidctest.RolesClaim: []string{"device", "writer"}})
	token := idp.Mint(t, "RS256", claims)
	b.want("active", token, 0)
	b.want("active, asked again", token, 0)
	if n := idp.Introspections(); n != 2 {
		t.Errorf("asked %d times, want 2: cache_ttl is 0", n)
	}
	idp.Revoke(token)
	b.want("deactivated", token, wire.TokenInactive)
	bad := token[:len(token)-8] + "AAAAAAAA"
	before := idp.Introspections()
	b.want("a bad signature", bad, wire.SignatureInvalid)
	if idp.Introspections() != before {
		t.Error("the provider was asked about a token that is not its own")
	}
	opaque := idp.Opaque(claims)
	b.want("an opaque one", opaque, 0)
	idp.Revoke(opaque)
	b.want("an opaque one, taken back", opaque, wire.TokenInactive)
}

// TestIntrospectionTakesRolesAway: an answer has the roles of the moment.
func TestIntrospectionTakesRolesAway(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectJWT)
	cfg.Introspection.CacheTTL, cfg.Introspection.InactiveTTL = ptr(time.Duration(0)), ptr(time.Duration(0))
	b := newBench(t, cfg)
	token := idp.Mint(t, "RS256", idp.AccessToken("a").With(oidctest.Claims{oidctest.RolesClaim: []string{"device", "writer"}}))
	sub := idp.AccessToken("a")["sub"].(string)
	for _, tt := range []struct{ name, answer, roles string }{
		{"as they are", `{"active":true}`, "[device writer]"}, // this provider's answer does not have them
		{"one was taken", fmt.Sprintf(`{"active":true,%q:["device"]}`, oidctest.RolesClaim), "[device]"},
		{"one was given", fmt.Sprintf(`{"active":true,%q:["admin","device","writer"]}`, oidctest.RolesClaim), "[device writer]"},
		{"all were taken", fmt.Sprintf(`{"active":true,"sub":%q,%q:{}}`, sub, oidctest.RolesClaim), "[]"},
	} {
		b.want("keys are there", token, 0)
		idp.Garbage("application/json", tt.answer)
		v, fail := b.check(token, "")
		if fail != nil || fmt.Sprint(v.Roles) != tt.roles {
			t.Errorf("%s: %v %v, want roles %s", tt.name, v, fail, tt.roles)
		}
		if e := b.explain(token, ""); e.Verified == nil || fmt.Sprint(e.Verified.Roles) != tt.roles {
			t.Errorf("%s: explained %+v", tt.name, e)
		}
		idp.Heal()
	}
	idp.Garbage("application/json", `{"active":true,"sub":"another"}`)
	b.want("another subject", token, wire.SubjectInvalid)
	idp.Garbage("application/json", `{"active":true,"iss":"https://evil.example.com"}`)
	b.want("another issuer", token, wire.IssuerUnknown)
}

// TestIntrospectionTrouble: whatever is no answer of a provider is transient, and one that comes after it counts.
func TestIntrospectionTrouble(t *testing.T) {
	idp := oidctest.New(t)
	b := newBench(t, introspecting(t, idp, introspectOpaque))
	claims := idp.AccessToken("a")
	b.want("before", idp.Opaque(claims), 0)
	for name, fault := range map[string]func(){
		"500":               func() { idp.Fail(http.StatusInternalServerError) },
		"400":               func() { idp.Fail(http.StatusBadRequest) },
		"404":               func() { idp.Fail(http.StatusNotFound) },
		"429":               func() { idp.Fail(http.StatusTooManyRequests) },
		"a login page":      func() { idp.Garbage("text/html", "<html>log in</html>") },
		"nothing":           func() { idp.Garbage("application/json", "") },
		"an empty object":   func() { idp.Garbage("application/json", "{}") },
		"active is null":    func() { idp.Garbage("application/json", `{"active":null}`) },
		"active is a text":  func() { idp.Garbage("application/json", `{"active":"true"}`) },
		"active twice":      func() { idp.Garbage("application/json", `{"active":false,"active":true}`) },
		"Active":            func() { idp.Garbage("application/json", `{"Active":true}`) },
		"exp a text":        func() { idp.Garbage("application/json", `{"active":true,"exp":"soon"}`) },
		"cut":               func() { idp.Garbage("application/json", `{"active":tr`) },
		"an answer of 1 MB": func() { idp.Garbage("application/json", `{"active":true,"x":"`+strings.Repeat("x", 1<<20)+`"}`) },
		"a redirect": func() {
			idp.Handle(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/oauth/v2/other", http.StatusFound) })
		},
		"a redirect that keeps": func() {
			idp.Handle(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) })
		},
	} {
		fault()
		b.want(name, idp.Opaque(claims), wire.IntrospectionUnavailable)
		idp.Heal()
		b.want("after "+name, idp.Opaque(claims), 0)
	}
	idp.AddClient(apiClient, "another secret")
	b.want("our secret is not good", idp.Opaque(claims), wire.IntrospectionUnavailable)
	b.want("nor for a token that is none", "dGhpcyBpcyBvcGFxdWU", wire.IntrospectionUnavailable)
	if _, fail := b.check(idp.Opaque(claims), ""); fail == nil || fail.Detail != errRefused.Error() {
		t.Errorf("%v, want that the provider refuses the client", fail)
	}
	if n := b.logs.FilterMessageSnippet("cannot be asked").Len(); n == 0 || n > 20 {
		t.Errorf("%d warnings for as many outages", n)
	}
}

// TestStrangersLeaveRoom: opaque tokens, which anybody can make up, do not take the places of those whose signature was verified.
func TestStrangersLeaveRoom(t *testing.T) {
	idp := oidctest.New(t)
	i := newTestVerifier(t, time.Now, introspecting(t, idp, introspectAlways)).opaque.introspector
	take := func(verified bool, want int) (ends []func()) {
		t.Helper()
		for {
			end, free := i.slot(verified)
			if !free {
				break
			}
			ends = append(ends, end)
		}
		if len(ends) != want {
			t.Errorf("%d places, want %d", len(ends), want)
		}
		return ends
	}
	strangers := take(false, maxStrangers)
	for _, end := range append(strangers, take(true, maxIntrospecting-maxStrangers)...) {
		end()
	}
	verified := take(true, maxIntrospecting)
	take(false, 0)
	for _, end := range verified {
		end()
	}
	take(false, maxStrangers)
}

// TestIntrospectionStalls: a provider that does not answer takes no more than its part of a login's time, and holds up no
// login that needs nothing of it.
func TestIntrospectionStalls(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectOpaque)
	v := newTestVerifier(t, time.Now, cfg)
	jwt := idp.Token(t, "a")
	if _, fail := v.verify(withBudget(t), jwt, ""); fail != nil {
		t.Fatal(fail)
	}
	idp.Stall()
	var waiting sync.WaitGroup
	busy := make(chan wire.Code, 2*maxIntrospecting)
	for i := range 2 * maxIntrospecting {
		waiting.Go(func() {
			_, fail := v.verify(withBudget(t), fmt.Sprintf("opaque-token-%d", i), "")
			busy <- code(fail)
		})
	}
	if _, fail := v.verify(withBudget(t), jwt, ""); fail != nil {
		t.Errorf("a JWT beside them: %v", fail)
	}
	waiting.Wait()
	close(busy)
	for c := range busy {
		if c != wire.IntrospectionUnavailable {
			t.Fatalf("got %v", c)
		}
	}
	if n := idp.Introspections(); n > maxIntrospecting {
		t.Errorf("%d questions at once", n)
	}
	if v.opaque.introspector.stats.busy.Load() == 0 {
		t.Error("none was turned away")
	}
	idp.Heal()
	natstest.Eventually(t, "opaque tokens are judged again", func() bool {
		_, fail := v.verify(withBudget(t), idp.Opaque(idp.AccessToken("a")), "")
		return fail == nil
	})
}

// TestIntrospectionIsShared: a storm with one token is one question, and the login that asked first may go away.
func TestIntrospectionIsShared(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectOpaque)
	v := newTestVerifier(t, time.Now, cfg)
	release := make(chan struct{})
	idp.Handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, idp.URL, idp.URL+"/oauth/v2/keys", idp.URL+"/oauth/v2/introspect")
			return
		}
		<-release
		_ = json.NewEncoder(w).Encode(idp.AccessToken("a").With(oidctest.Claims{"active": true}))
	})
	leave := make(chan wire.Code)
	ctx, cancel := context.WithCancel(longBudget(t))
	go func() {
		_, fail := v.verify(ctx, "the-token", "")
		leave <- code(fail)
	}()
	natstest.Eventually(t, "the provider is asked", func() bool { return idp.Introspections() == 1 })
	cancel()
	if c := <-leave; c != wire.IntrospectionUnavailable {
		t.Errorf("the login that went away: %v", c)
	}
	var logins sync.WaitGroup
	for range 200 {
		logins.Go(func() {
			if _, fail := v.verify(longBudget(t), "the-token", ""); fail != nil {
				t.Error(fail)
			}
		})
	}
	close(release)
	logins.Wait()
	// One that looked before the answer was kept, and leads after.
	if _, err := v.opaque.introspector.lead(sha256.Sum256([]byte("the-token")), "the-token", false); err != nil {
		t.Error(err)
	}
	if n := idp.Introspections(); n != 1 {
		t.Errorf("%d questions about one token", n)
	}
}

// TestIntrospectionDiscoversOnce: questions that wait for the endpoint ask discovery once together. It shares its few
// connections with the keys.
func TestIntrospectionDiscoversOnce(t *testing.T) {
	idp := oidctest.New(t)
	v := newTestVerifier(t, time.Now, introspecting(t, idp, introspectOpaque))
	release := make(chan struct{})
	idp.Handle(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			_ = json.NewEncoder(w).Encode(idp.AccessToken("a").With(oidctest.Claims{"active": true}))
			return
		}
		<-release
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, idp.URL, idp.URL+"/oauth/v2/keys", idp.URL+"/oauth/v2/introspect")
	})
	before := idp.Discoveries()
	const questions = 50
	var logins sync.WaitGroup
	for n := range questions {
		logins.Go(func() {
			if _, fail := v.verify(longBudget(t), fmt.Sprintf("opaque-token-%d", n), ""); fail != nil {
				t.Error(fail)
			}
		})
	}
	natstest.Eventually(t, "all wait", func() bool { return len(v.opaque.introspector.slots) == questions })
	close(release)
	logins.Wait()
	if n := idp.Discoveries() - before; n != 1 {
		t.Errorf("discovery was asked %d times, want once", n)
	}
}

// TestIntrospectionKeepsItsEndpoint: a provider that answers questions with errors is not asked for its endpoint too, each time;
// after a while it is, as the endpoint may have moved.
func TestIntrospectionKeepsItsEndpoint(t *testing.T) {
	idp := oidctest.New(t)
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	v := newTestVerifier(t, func() time.Time { return time.Unix(0, clock.Load()) }, introspecting(t, idp, introspectOpaque))
	var path atomic.Value // of the endpoint
	path.Store("/oauth/v2/keys")
	idp.Handle(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, idp.URL, idp.URL+"/oauth/v2/keys", idp.URL+path.Load().(string))
		case r.URL.Path == "/oauth/v2/introspect":
			_ = json.NewEncoder(w).Encode(idp.AccessToken("a").With(oidctest.Claims{"active": true}))
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	question := func(n int) *wire.Error {
		_, fail := v.verify(longBudget(t), fmt.Sprintf("opaque-token-%d", n), "")
		return fail
	}
	before := idp.Discoveries()
	for n := range 20 {
		if fail := question(n); fail == nil || fail.Code != wire.IntrospectionUnavailable {
			t.Fatalf("question %d: %v", n, fail)
		}
	}
	if n := idp.Discoveries() - before; n != 1 {
		t.Errorf("discovery was asked %d times beside 20 questions, want once", n)
	}
	path.Store("/oauth/v2/introspect")
	clock.Add(int64(endpointFresh))
	if fail := question(20); fail == nil {
		t.Error("the old endpoint answered")
	}
	if fail := question(21); fail != nil {
		t.Errorf("after the endpoint moved: %v", fail)
	}
}

// TestIntrospectionMemory: an answer is believed for cache_ttl, one that is not active for less, and never beyond exp.
func TestIntrospectionMemory(t *testing.T) {
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectOpaque)
	cfg.Introspection.CacheTTL, cfg.Introspection.InactiveTTL = ptr(20*time.Second), ptr(5*time.Second)
	clock := time.Now()
	v := newTestVerifier(t, func() time.Time { return clock }, cfg)
	ask := func(token string) (wire.Code, int64) {
		before := idp.Introspections()
		_, fail := v.verify(longBudget(t), token, "")
		return code(fail), idp.Introspections() - before
	}
	want := func(what, token string, want wire.Code, questions int64) {
		t.Helper()
		if c, n := ask(token); c != want || n != questions {
			t.Errorf("%s: %v after %d questions, want %v after %d", what, c, n, want, questions)
		}
	}
	long := idp.Opaque(idp.AccessToken("a"))
	short := idp.Opaque(idp.AccessToken("a").With(oidctest.Claims{"exp": clock.Unix() + 10}))
	want("first", long, 0, 1)
	want("first, short", short, 0, 1)
	want("first, unknown", "unknown-token", wire.TokenInactive, 1)
	idp.Revoke(long)
	clock = clock.Add(4 * time.Second)
	want("remembered", long, 0, 0)
	want("remembered, unknown", "unknown-token", wire.TokenInactive, 0)
	clock = clock.Add(2 * time.Second)
	want("an answer not active is believed for less", "unknown-token", wire.TokenInactive, 1)
	clock = clock.Add(5 * time.Second)
	want("not beyond exp", short, 0, 1) // inside the leeway, so that it is asked and not just refused
	clock = clock.Add(10 * time.Second)
	want("taken back", long, wire.TokenInactive, 1)
}

// TestClientAuthentication is every way in which the client can show who it is.
func TestClientAuthentication(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := func(c elliptic.Curve) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	p256, p384, p521 := ecKey(elliptic.P256()), ecKey(elliptic.P384()), ecKey(elliptic.P521())
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	zitadel := func(member, client string) string {
		text, err := json.Marshal(map[string]string{"type": "application", "keyId": "k1", "key": pkcs1, "appId": "7", member: client})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, tt := range []struct {
		name   string
		cfg    IntrospectionConfig
		file   string
		alg    string
		public any
		kid    string
	}{
		{"Zitadel's file of an application", IntrospectionConfig{}, zitadel("clientId", apiClient), "RS256", rsaKey.Public(), "k1"},
		{"Zitadel's file, with client_id said as well", IntrospectionConfig{ClientID: apiClient}, zitadel("clientId", apiClient), "RS256", rsaKey.Public(), "k1"},
		{"Zitadel's file of a user", IntrospectionConfig{}, zitadel("userId", apiClient), "RS256", rsaKey.Public(), "k1"},
		{"RSA, PKCS 1", IntrospectionConfig{ClientID: apiClient, KeyID: "k2"}, pkcs1, "RS256", rsaKey.Public(), "k2"},
		{"RSA, PKCS 8, no kid", IntrospectionConfig{ClientID: apiClient}, pkcs8(rsaKey), "RS256", rsaKey.Public(), ""},
		{"P-256, SEC 1", IntrospectionConfig{ClientID: apiClient}, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})), "ES256", p256.Public(), ""},
		{"P-256, PKCS 8", IntrospectionConfig{ClientID: apiClient}, pkcs8(p256), "ES256", p256.Public(), ""},
		{"P-384", IntrospectionConfig{ClientID: apiClient}, pkcs8(p384), "ES384", p384.Public(), ""},
		{"P-521", IntrospectionConfig{ClientID: apiClient}, pkcs8(p521), "ES512", p521.Public(), ""},
		{"Ed25519", IntrospectionConfig{ClientID: apiClient}, pkcs8(edKey), "EdDSA", edPublic, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := oidctest.New(t)
			idp.AddClientKey(apiClient, tt.kid, tt.alg, tt.public)
			cfg := issuerConfig(idp.URL)
			cfg.Introspect, cfg.Introspection = introspectOpaque, &tt.cfg
			cfg.Introspection.PrivateKeyFile = secretFile(t, "key", tt.file)
			cfg.setDefaults()
			v := newTestVerifier(t, time.Now, cfg)
			for range 2 { // each assertion is taken once
				if _, fail := v.verify(longBudget(t), idp.Opaque(idp.AccessToken("a")), ""); fail != nil {
					t.Error(fail)
				}
			}
		})
	}
}

func TestCredentialsRefused(t *testing.T) {
	weak := `{"type":"application","keyId":"k1","key":"not a key","clientId":"c"}`
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicKeyOf(t)}))
	for _, tt := range []struct {
		name      string
		cfg       IntrospectionConfig
		key, text string
	}{
		{"neither", IntrospectionConfig{ClientID: "c"}, "", "either client_secret_file or private_key_file"},
		{"both", IntrospectionConfig{ClientID: "c", ClientSecretFile: secretFile(t, "s", "x")}, weak, "not both"},
		{"no client", IntrospectionConfig{ClientSecretFile: secretFile(t, "s", "x")}, "", "client_id is required"},
		{"no file", IntrospectionConfig{ClientID: "c", ClientSecretFile: "/nowhere/secret"}, "", "/nowhere/secret"},
		{"empty file", IntrospectionConfig{ClientID: "c", ClientSecretFile: secretFile(t, "s", "\n")}, "", "empty"},
		{"no key in it", IntrospectionConfig{}, weak, "no private key in PEM form"},
		{"no keyId", IntrospectionConfig{}, `{"key":"x","clientId":"c"}`, "keyId and key are needed"},
		{"not JSON", IntrospectionConfig{}, `{`, "keyId and key are needed"},
		{"a public key", IntrospectionConfig{ClientID: "c"}, public, "must be a private"},
		{"garbage", IntrospectionConfig{ClientID: "c"}, "garbage", "no private key"},
	} {
		if tt.key != "" {
			tt.cfg.PrivateKeyFile = secretFile(t, "key", tt.key)
		}
		_, err := tt.cfg.credentials("https://id.example.com")
		if err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
	}
	mismatch := IntrospectionConfig{ClientID: "d", PrivateKeyFile: secretFile(t, "key", weak)}
	if _, err := mismatch.credentials("x"); err == nil || !strings.Contains(err.Error(), `the key in`) {
		t.Errorf("another client's key: %v", err)
	}
}

func publicKeyOf(t *testing.T) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestZitadelIntrospection holds what a real Zitadel answered against what must be made of it.
func TestZitadelIntrospection(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join("testdata", "zitadel", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	type reply struct {
		Step   string          `json:"step"`
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	}
	idp := oidctest.New(t)
	cfg := introspecting(t, idp, introspectAlways)
	cfg.Profile, cfg.Issuer, cfg.RolesClaim = profileZitadel, zitadelIssuer, zitadelRoles
	cfg.JWKSURI, cfg.Introspection.Endpoint = idp.URL+"/oauth/v2/keys", idp.URL+"/oauth/v2/introspect"
	cfg.Introspection.CacheTTL, cfg.Introspection.InactiveTTL = ptr(time.Duration(0)), ptr(time.Duration(0))
	var sequence struct {
		JWKS  json.RawMessage `json:"jwks"`
		JWT   string          `json:"jwt_before"`
		Steps []reply         `json:"steps"`
	}
	read("50-deactivation-sequence.json", &sequence)
	var answer reply
	idp.Handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/oauth/v2/keys" {
			_, _ = w.Write(sequence.JWKS)
			return
		}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body)
	})
	clock := time.Unix(1795474330, 0)
	v := newTestVerifier(t, func() time.Time { return clock }, cfg)
	want := func(step, token string, want wire.Code, roles string) {
		t.Helper()
		got, fail := v.verify(longBudget(t), token, "")
		if code(fail) != want || (fail == nil && fmt.Sprint(got.Roles) != roles) {
			t.Errorf("%s: %+v %v, want %v and roles %s", step, got, fail, want, roles)
		}
	}
	for name, code := range map[string]wire.Code{"32-introspect-opaque.json": 0, "35-introspect-garbage.json": wire.TokenInactive} {
		read(name, &answer)
		want(name, "VjJfNDAwOTM4NjczODc0NDcxOTc0", code, "[device]")
	}
	read("32-introspect-opaque.json", &answer)
	got, fail := v.verify(longBudget(t), "VjJfNDAwOTM4NjczODc0NDcxOTc0", "")
	if fail != nil || got.Subject != "400938673287203878" || got.ExpiresAt != 1795517272 || got.Metadata["device_id"] != "sensor-opaque" || got.Metadata["site"] != "Zürich/Süd?>~" {
		t.Errorf("the opaque token: %+v %v", got, fail)
	}
	active := 0
	for _, answer = range sequence.Steps {
		var body struct {
			Active  bool   `json:"active"`
			Subject string `json:"sub"`
		}
		if err := json.Unmarshal(answer.Body, &body); err != nil {
			t.Fatal(err)
		}
		token, roles := sequence.JWT, "[device telemetry-writer]"
		switch {
		case strings.Contains(answer.Step, "opaque"):
			token, roles = "VjJfNDAwOTM4NjczODc0NDcxOTc0", "[device]"
		case strings.Contains(answer.Step, "PAT"):
			token = "PAT-of-the-user"
		case strings.Contains(answer.Step, "roles live"), strings.Contains(answer.Step, "revoke attempts"):
			roles = "[]"
		}
		outcome := wire.TokenInactive
		if body.Active {
			outcome, active = 0, active+1
		}
		want(answer.Step, token, outcome, roles)
	}
	if active < 6 || len(sequence.Steps) < 15 {
		t.Errorf("%d steps, %d active", len(sequence.Steps), active)
	}
}

func TestProbeAsks(t *testing.T) {
	idp := oidctest.New(t)
	cfg := &Config{Issuers: []IssuerConfig{introspecting(t, idp, introspectOpaque)}}
	if err := probe(t.Context(), cfg); err != nil {
		t.Errorf("everything is right: %v", err)
	}
	cfg.Issuers[0].Introspection.ClientSecretFile = secretFile(t, "secret", "wrong")
	if err := probe(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), errRefused.Error()) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong secret: %v", err)
	}
	cfg.Issuers[0].Introspection = &IntrospectionConfig{ClientID: apiClient, ClientSecretFile: secretFile(t, "secret", apiSecret), Endpoint: idp.URL + "/nowhere"}
	cfg.Issuers[0].setDefaults()
	if err := probe(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a wrong endpoint: %v", err)
	}
}
