package devidp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"harmony.internal/authcallout/deploy/devidp"
)

func start(t *testing.T, change func(*devidp.Config)) *devidp.Server {
	t.Helper()
	cfg := devidp.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Algorithm: "ES256", Users: []devidp.User{{Name: "sensor-a"}}}
	if change != nil {
		change(&cfg)
	}
	s, err := devidp.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func profileToken(t *testing.T, s *devidp.Server, user string, scopes ...string) string {
	t.Helper()
	token, err := devidp.Token(t.Context(), devidp.TokenRequest{Issuer: s.Issuer(), KeyFile: s.KeyFile(user), Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// post sends a form with basic authentication and returns the status and the decoded body.
func post(t *testing.T, address, user, secret string, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(secret))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{}
	if len(raw) > 0 && string(raw) != "null\n" {
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Fatalf("status %d, body %q: %v", response.StatusCode, raw, err)
		}
	}
	return response.StatusCode, body
}

func secret(t *testing.T, s *devidp.Server, client string) string {
	t.Helper()
	raw, err := os.ReadFile(s.SecretFile(client))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func clientCredentials(t *testing.T, s *devidp.Server, user string, scopes ...string) (int, map[string]any) {
	t.Helper()
	return post(t, s.Issuer()+"/oauth/v2/token", user, secret(t, s, user),
		url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Join(scopes, " ")}})
}

func introspect(t *testing.T, s *devidp.Server, client, token string) map[string]any {
	t.Helper()
	status, body := post(t, s.Issuer()+"/oauth/v2/introspect", client, secret(t, s, client), url.Values{"token": {token}})
	if status != http.StatusOK {
		t.Fatalf("introspection: status %d, %v", status, body["error"])
	}
	return body
}

func keySet(t *testing.T, s *devidp.Server) jose.JSONWebKeySet {
	t.Helper()
	var discovered struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	get(t, s.DiscoveryURL(), &discovered)
	if discovered.Issuer != s.Issuer() {
		t.Fatalf("discovery names issuer %q, want %q", discovered.Issuer, s.Issuer())
	}
	var keys jose.JSONWebKeySet
	get(t, discovered.JWKS, &keys)
	return keys
}

func get(t *testing.T, address string, into any) {
	t.Helper()
	response, err := http.Get(address) //nolint:noctx // a test against loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.Header.Get("X-Development-Only") == "" {
		t.Errorf("%s is not marked as for development", address)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// verify checks the signature with the published keys and returns header and claims.
func verify(t *testing.T, s *devidp.Server, token string) (header jose.Header, claims map[string]any, ok bool) {
	t.Helper()
	var algorithms []jose.SignatureAlgorithm
	for _, a := range devidp.Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	parsed, err := jose.ParseSigned(token, algorithms)
	if err != nil {
		t.Fatal("not a JWS")
	}
	header = parsed.Signatures[0].Header
	published := keySet(t, s)
	for _, key := range published.Key(header.KeyID) {
		if payload, err := parsed.Verify(key); err == nil && key.Algorithm == header.Algorithm && key.Use == "sig" {
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			return header, claims, true
		}
	}
	return header, nil, false
}

const anotherProject = "400938672314125350"

// The expectations are what a Zitadel answered to the same questions.
func TestTokensHaveZitadelsClaims(t *testing.T) {
	s := start(t, func(c *devidp.Config) {
		c.Project = anotherProject
		c.Users = append(c.Users, devidp.User{Name: "sensor-b", Roles: []string{"device", "telemetry-writer"}, DeviceID: "b1",
			Metadata: map[string]string{"site": "Zürich/Süd>>"}}, devidp.User{Name: "stranger", Roles: []string{}, Metadata: map[string]string{}})
	})
	rolesClaim := devidp.RolesClaim(anotherProject)
	always := []string{"aud", "client_id", "device_id", "exp", "iat", "iss", "jti", "nbf", "sub"}
	full := append(slices.Clone(always), rolesClaim, "urn:zitadel:iam:user:metadata")
	cases := []struct {
		name, user string
		scopes     []string
		members    []string
		audience   string
	}{
		{"all that a device asks for", "sensor-a", devidp.DeviceScopes(anotherProject), full, anotherProject},
		{"two roles", "sensor-b", devidp.DeviceScopes(anotherProject), full, anotherProject},
		{"openid alone", "sensor-a", []string{"openid"}, always, "sensor-a"},
		{"audience alone", "sensor-a", []string{devidp.AudienceScope(anotherProject)}, always, anotherProject},
		{"an unknown scope", "sensor-a", []string{"openid", "no-such-scope"}, always, "sensor-a"},
		{"a project without this user", "sensor-a", devidp.DeviceScopes("123456789"), append(slices.Clone(always), "urn:zitadel:iam:user:metadata"), "123456789"},
		{"a user without role and metadata", "stranger", devidp.DeviceScopes(anotherProject), always, anotherProject},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, answer := clientCredentials(t, s, c.user, c.scopes...)
			if status != http.StatusOK {
				t.Fatalf("client credentials: status %d, %v", status, answer["error"])
			}
			byCredentials, _ := answer["access_token"].(string)
			for grant, token := range map[string]string{"JWT profile": profileToken(t, s, c.user, c.scopes...), "client credentials": byCredentials} {
				header, claims, ok := verify(t, s, token)
				if !ok {
					t.Fatalf("%s: the published keys do not verify the token", grant)
				}
				if header.ExtraHeaders["typ"] != "JWT" || header.Algorithm != "ES256" {
					t.Errorf("%s: header typ %v, alg %v", grant, header.ExtraHeaders["typ"], header.Algorithm)
				}
				if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, slices.Sorted(slices.Values(c.members))) {
					t.Errorf("%s: members %v, want %v", grant, got, c.members)
				}
				if aud, ok := claims["aud"].([]any); !ok || len(aud) != 1 || aud[0] != c.audience {
					t.Errorf("%s: aud %v, want [%s]", grant, claims["aud"], c.audience)
				}
				if claims["client_id"] != c.user || claims["iss"] != s.Issuer() || claims["sub"] == c.user {
					t.Errorf("%s: client_id %v, iss %v, sub %v", grant, claims["client_id"], claims["iss"], claims["sub"])
				}
				if lifetime := claims["exp"].(float64) - claims["iat"].(float64); lifetime < 43199 || lifetime > 43201 {
					t.Errorf("%s: lives %v s, want 12 h", grant, lifetime)
				}
			}
		})
	}
	_, claims, _ := verify(t, s, profileToken(t, s, "sensor-b", devidp.DeviceScopes(anotherProject)...))
	roles, _ := claims[rolesClaim].(map[string]any)
	for _, role := range []string{"device", "telemetry-writer"} {
		if organizations, ok := roles[role].(map[string]any); !ok || len(organizations) != 1 {
			t.Errorf("role %s is %v, want {organization: domain}", role, roles[role])
		}
	}
	metadata, _ := claims["urn:zitadel:iam:user:metadata"].(map[string]any)
	site, _ := metadata["site"].(string)
	if value, err := base64.RawURLEncoding.DecodeString(site); err != nil || string(value) != "Zürich/Süd>>" {
		t.Errorf("metadata site %q decodes to %q, %v", site, value, err)
	}
	if claims["device_id"] != "b1" {
		t.Errorf("device_id %v, want b1", claims["device_id"])
	}
}

func TestIDTokenIsToldFromAccessToken(t *testing.T) {
	s := start(t, nil)
	_, answer := clientCredentials(t, s, "sensor-a", devidp.DeviceScopes(s.Project())...)
	id, _ := answer["id_token"].(string)
	_, claims, ok := verify(t, s, id)
	if !ok {
		t.Fatal("no ID token that verifies")
	}
	if claims["azp"] != "sensor-a" || claims["at_hash"] == nil || claims["jti"] != nil {
		t.Errorf("azp %v, at_hash %v, jti %v: want an ID token as Zitadel issues it", claims["azp"], claims["at_hash"], claims["jti"])
	}
	if _, answer := clientCredentials(t, s, "sensor-a", devidp.AudienceScope(s.Project())); answer["id_token"] != nil {
		t.Error("an ID token though openid was not asked for")
	}
}

func TestRotation(t *testing.T) {
	s := start(t, nil)
	before := profileToken(t, s, "sensor-a")
	for _, algorithm := range devidp.Algorithms() {
		kid, err := s.Rotate(devidp.RotateOptions{Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		header, _, ok := verify(t, s, profileToken(t, s, "sensor-a"))
		if !ok || header.KeyID != kid || header.Algorithm != algorithm {
			t.Errorf("after rotation to %s kid %s: token has alg %s, kid %s, verifies %v", algorithm, kid, header.Algorithm, header.KeyID, ok)
		}
	}
	if _, _, ok := verify(t, s, before); !ok {
		t.Error("an old token does not verify though its key is published")
	}
	if introspect(t, s, "api", before)["active"] != true {
		t.Error("an old token is inactive though its key is published")
	}
	if _, err := s.Rotate(devidp.RotateOptions{RemoveOld: true}); err != nil {
		t.Fatal(err)
	}
	if keys := keySet(t, s).Keys; len(keys) != 1 {
		t.Errorf("%d keys published, want the new one alone", len(keys))
	}
	if _, _, ok := verify(t, s, before); ok {
		t.Error("an old token verifies though its key was removed")
	}
	if _, err := s.Rotate(devidp.RotateOptions{Algorithm: "HS256"}); err == nil {
		t.Error("a symmetric algorithm was taken")
	}
}

func TestDeactivation(t *testing.T) {
	s := start(t, nil)
	scopes := devidp.DeviceScopes(s.Project())
	before := profileToken(t, s, "sensor-a", scopes...)
	if got := introspect(t, s, "api", before); got["active"] != true || got["client_id"] != "sensor-a" || got[devidp.RolesClaim(s.Project())] == nil {
		t.Fatalf("introspection of a live token: %v", got)
	}
	if err := s.Deactivate("sensor-a"); err != nil {
		t.Fatal(err)
	}
	if got := introspect(t, s, "api", before); got["active"] != false || len(got) != 1 {
		t.Errorf("introspection after deactivation: %v", got)
	}
	if _, _, ok := verify(t, s, before); !ok {
		t.Error("the token no longer verifies; a JWT does until its end")
	}
	_, err := devidp.Token(t.Context(), devidp.TokenRequest{Issuer: s.Issuer(), KeyFile: s.KeyFile("sensor-a"), Scopes: scopes})
	if err == nil || !strings.Contains(err.Error(), "not active") {
		t.Errorf("JWT profile for a deactivated user: %v", err)
	}
	if status, body := clientCredentials(t, s, "sensor-a", scopes...); status != http.StatusBadRequest || body["error"] != "invalid_request" {
		t.Errorf("client credentials for a deactivated user: status %d, error %v", status, body["error"])
	}
	if err := s.Reactivate("sensor-a"); err != nil {
		t.Fatal(err)
	}
	if introspect(t, s, "api", before)["active"] != false {
		t.Error("reactivation brought an old token back")
	}
	if introspect(t, s, "api", profileToken(t, s, "sensor-a", scopes...))["active"] != true {
		t.Error("a token from after the reactivation is inactive")
	}
	if err := s.Deactivate("nobody"); err == nil {
		t.Error("a user that does not exist was deactivated")
	}
}

func TestRevocation(t *testing.T) {
	s := start(t, func(c *devidp.Config) { c.Users = append(c.Users, devidp.User{Name: "sensor-b"}) })
	token, other := profileToken(t, s, "sensor-a"), profileToken(t, s, "sensor-a")
	revoke := func(client string) int {
		status, _ := post(t, s.Issuer()+"/oauth/v2/revoke", client, secret(t, s, client), url.Values{"token": {token}, "token_type_hint": {"access_token"}})
		return status
	}
	if status := revoke("sensor-b"); status == http.StatusOK {
		t.Error("a user revoked another's token")
	}
	if introspect(t, s, "sensor-a", token)["active"] != true {
		t.Error("the token is inactive before its revocation")
	}
	if status := revoke("sensor-a"); status != http.StatusOK {
		t.Fatalf("revocation: status %d", status)
	}
	if introspect(t, s, "api", token)["active"] != false {
		t.Error("a revoked token is active")
	}
	if introspect(t, s, "api", other)["active"] != true {
		t.Error("another token of the user was revoked with it")
	}
}

func TestIntrospectionIsNotForEverybody(t *testing.T) {
	s := start(t, func(c *devidp.Config) { c.Users = append(c.Users, devidp.User{Name: "sensor-b"}) })
	token := profileToken(t, s, "sensor-a")
	if introspect(t, s, "sensor-b", token)["active"] != false {
		t.Error("a user introspected another's token")
	}
	for _, credentials := range [][2]string{{"api", "wrong"}, {"nobody", "wrong"}, {"sensor-a", ""}} {
		if status, _ := post(t, s.Issuer()+"/oauth/v2/introspect", credentials[0], credentials[1], url.Values{"token": {token}}); status < 400 {
			t.Errorf("%s with a wrong secret: status %d", credentials[0], status)
		}
	}
	if introspect(t, s, "api", "garbage")["active"] != false {
		t.Error("garbage is active")
	}
}

func TestWrongCredentials(t *testing.T) {
	s := start(t, func(c *devidp.Config) { c.Users = append(c.Users, devidp.User{Name: "sensor-b"}) })
	for _, credentials := range [][2]string{{"sensor-a", "wrong"}, {"nobody", "wrong"}, {"api", secret(t, s, "api")}, {"sensor-a", secret(t, s, "sensor-b")}} {
		status, body := post(t, s.Issuer()+"/oauth/v2/token", credentials[0], credentials[1], url.Values{"grant_type": {"client_credentials"}})
		if status != http.StatusBadRequest || body["error"] != "invalid_client" { // 400, as Zitadel answers
			t.Errorf("%s: status %d, error %v", credentials[0], status, body["error"])
		}
	}
	// The key of one user with the name of the other.
	var a, b devidp.KeyFile
	readJSON(t, s.KeyFile("sensor-a"), &a)
	readJSON(t, s.KeyFile("sensor-b"), &b)
	for name, forged := range map[string]devidp.KeyFile{
		"another's key id": {Type: a.Type, UserID: a.UserID, KeyID: b.KeyID, Key: b.Key},
		"another's key":    {Type: a.Type, UserID: a.UserID, KeyID: a.KeyID, Key: b.Key},
		"unknown user":     {Type: a.Type, UserID: "1", KeyID: a.KeyID, Key: a.Key},
	} {
		path := filepath.Join(t.TempDir(), "forged.json")
		raw, err := json.Marshal(forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = devidp.Token(t.Context(), devidp.TokenRequest{Issuer: s.Issuer(), KeyFile: path})
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("%s: %v, want invalid_grant", name, err)
		}
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, func(c *devidp.Config) { c.DataDir = dir })
	token := profileToken(t, first, "sensor-a")
	_, claims, _ := verify(t, first, token)
	var key devidp.KeyFile
	readJSON(t, first.KeyFile("sensor-a"), &key)
	if key.Type != "serviceaccount" || key.UserID != claims["sub"] || !strings.HasPrefix(key.Key, "-----BEGIN RSA PRIVATE KEY-----") {
		t.Errorf("key file: type %q, user %q; sub is %v", key.Type, key.UserID, claims["sub"])
	}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[info.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, func(c *devidp.Config) { c.DataDir = dir; c.Issuer = first.Issuer() })
	if keySet(t, first).Keys[0].KeyID != keySetAt(t, second.Addr()).Keys[0].KeyID {
		t.Error("a restart made another signing key")
	}
}

func keySetAt(t *testing.T, addr string) (keys jose.JSONWebKeySet) {
	t.Helper()
	get(t, "http://"+addr+"/oauth/v2/keys", &keys)
	return keys
}

func TestConfigIsRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*devidp.Config)
		says   string
	}{
		"every address":      {func(c *devidp.Config) { c.Listen = ":0" }, "-allow-non-loopback"},
		"a network address":  {func(c *devidp.Config) { c.Listen = "192.0.2.1:80" }, "-allow-non-loopback"},
		"a name":             {func(c *devidp.Config) { c.Listen = "example.com:80" }, "-allow-non-loopback"},
		"no port":            {func(c *devidp.Config) { c.Listen = "127.0.0.1" }, "host:port"},
		"no data directory":  {func(c *devidp.Config) { c.DataDir = "" }, "-data"},
		"unknown algorithm":  {func(c *devidp.Config) { c.Algorithm = "none" }, "algorithm"},
		"path in a name":     {func(c *devidp.Config) { c.Users = []devidp.User{{Name: "../x"}} }, "user name"},
		"the reserved name":  {func(c *devidp.Config) { c.Users = []devidp.User{{Name: "api"}} }, "taken"},
		"a type of token":    {func(c *devidp.Config) { c.Users = []devidp.User{{Name: "a", TokenType: "saml"}} }, "token type"},
		"an empty role":      {func(c *devidp.Config) { c.Users = []devidp.User{{Name: "a", Roles: []string{""}}} }, "role"},
		"issuer not a URL":   {func(c *devidp.Config) { c.Issuer = "devidp" }, "issuer"},
		"a lifetime of none": {func(c *devidp.Config) { c.TokenLifetime = -1 }, "lifetime"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := devidp.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"}
			c.change(&cfg)
			s, err := devidp.Start(cfg)
			if err == nil {
				_ = s.Stop(t.Context())
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("says %q, want a mention of %q", err, c.says)
			}
		})
	}
}

func TestNonLoopbackOnRequest(t *testing.T) {
	s := start(t, func(c *devidp.Config) { c.Listen = "0.0.0.0:0"; c.AllowNonLoopback = true })
	if !strings.Contains(s.Addr(), "0.0.0.0:") && !strings.Contains(s.Addr(), "[::]:") {
		t.Errorf("listens on %s", s.Addr())
	}
}

func TestLandingPageWarns(t *testing.T) {
	s := start(t, nil)
	response, err := http.Get(s.Issuer() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "Never for production") || !strings.Contains(string(page), "sensor-a") {
		t.Errorf("status %d, page %q", response.StatusCode, page)
	}
}
