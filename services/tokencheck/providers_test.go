package tokencheck

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

// TestProviders has tokens in the shapes of well-known providers, each with the configuration that an operator would write
// for it: the access token passes, and what the same provider signs for another purpose or client does not.
func TestProviders(t *testing.T) {
	now := time.Now().Unix()
	type denied struct {
		name   string
		change oidctest.Claims
		want   wire.Code
	}
	for _, tt := range []struct {
		name   string
		config func(*IssuerConfig)
		header map[string]any
		claims oidctest.Claims
		roles  string
		denied []denied
	}{
		{
			name: "Keycloak", // a client's service account
			config: func(c *IssuerConfig) {
				c.Audiences, c.RolesClaim = []string{"nats"}, "realm_access.roles"
				c.RequiredClaims = map[string]any{"azp": []any{"fleet"}}
			},
			claims: oidctest.Claims{
				"exp": now + 300, "iat": now, "jti": "trrtcc:1", "aud": []string{"nats", "account"}, "sub": "f:1:device-7", "typ": "Bearer", "azp": "fleet",
				"sid": "s", "acr": "1", "realm_access": map[string]any{"roles": []string{"device", "offline_access"}},
				"resource_access": map[string]any{"account": map[string]any{"roles": []string{"view-profile"}}}, "scope": "email profile",
				"clientHost": "192.0.2.1", "preferred_username": "service-account-device-7", "clientAddress": "192.0.2.1", "client_id": "device-7",
			},
			roles: "[device offline_access]",
			denied: []denied{
				{"ID token", oidctest.Claims{"typ": "ID", "at_hash": "x", "aud": "nats"}, wire.TokenWrongKind},
				{"refresh token", oidctest.Claims{"typ": "Refresh", "aud": "nats"}, wire.TokenWrongKind},
				{"offline token", oidctest.Claims{"typ": "Offline"}, wire.TokenWrongKind},
				{"for the account console alone", oidctest.Claims{"aud": "account"}, wire.AudienceMismatch},
				{"of another client", oidctest.Claims{"azp": "web"}, wire.RequiredClaimMismatch},
			},
		},
		{
			name:   "Keycloak before 24, whose access tokens carry a nonce",
			config: func(c *IssuerConfig) { c.Audiences, c.RolesClaim = []string{"nats"}, "resource_access.nats.roles" },
			claims: oidctest.Claims{
				"exp": now + 300, "iat": now, "aud": "nats", "sub": "1", "typ": "Bearer", "azp": "fleet", "nonce": "n",
				"resource_access": map[string]any{"nats": map[string]any{"roles": []string{"device"}}},
			},
			roles:  "[device]",
			denied: []denied{{"ID token", oidctest.Claims{"typ": "ID"}, wire.TokenWrongKind}},
		},
		{
			name: "Auth0",
			config: func(c *IssuerConfig) {
				c.Audiences, c.RolesClaim = []string{"https://nats.example.com"}, "permissions"
			},
			claims: oidctest.Claims{
				"sub": "device7@clients", "aud": []string{"https://nats.example.com", "https://tenant.eu.auth0.com/userinfo"}, "iat": now, "exp": now + 86400,
				"azp": "device7", "gty": "client-credentials", "permissions": []string{"device"}, "https://example.com/site": "berlin",
			},
			roles: "[device]",
			denied: []denied{
				{"ID token", oidctest.Claims{"aud": "device7", "nonce": "n"}, wire.AudienceMismatch},
				{"for the management API", oidctest.Claims{"aud": "https://tenant.eu.auth0.com/api/v2/"}, wire.AudienceMismatch},
			},
		},
		{
			name: "Entra ID, version 2.0",
			config: func(c *IssuerConfig) {
				c.Audiences, c.RolesClaim = []string{"11111111-2222-3333-4444-555555555555"}, "roles"
				c.RequiredClaims = map[string]any{"tid": "tenant-1", "ver": "2.0"}
			},
			header: map[string]any{"x5t": "rTh"},
			claims: oidctest.Claims{
				"aud": "11111111-2222-3333-4444-555555555555", "iat": now, "nbf": now, "exp": now + 3900, "aio": "E2", "azp": "device-app", "azpacr": "1",
				"oid": "o-7", "rh": "0.A", "roles": []string{"device"}, "sub": "o-7", "tid": "tenant-1", "uti": "u", "ver": "2.0",
			},
			roles: "[device]",
			denied: []denied{
				{"ID token", oidctest.Claims{"nonce": "n", "aud": "11111111-2222-3333-4444-555555555555"}, wire.TokenWrongKind},
				{"of another tenant", oidctest.Claims{"tid": "tenant-2"}, wire.RequiredClaimMismatch},
				{"for Graph", oidctest.Claims{"aud": "00000003-0000-0000-c000-000000000000"}, wire.AudienceMismatch},
			},
		},
		{
			name: "Dex, whose access tokens look like ID tokens",
			config: func(c *IssuerConfig) {
				c.Audiences, c.Kind, c.RolesClaim = []string{"nats"}, kindAny, "groups"
			},
			header: map[string]any{"typ": nil},
			claims: oidctest.Claims{
				"sub": "CgJkNxIFbG9jYWw", "aud": "nats", "exp": now + 86400, "iat": now, "at_hash": "x", "c_hash": "y", "email": "d7@example.com",
				"email_verified": true, "groups": []string{"device"}, "name": "d7",
			},
			roles:  "[device]",
			denied: []denied{{"of another client", oidctest.Claims{"aud": "web"}, wire.AudienceMismatch}, {"refresh token", oidctest.Claims{"token_use": "refresh"}, wire.TokenWrongKind}},
		},
		{
			name:   "Dex, where nobody said kind: any",
			config: func(c *IssuerConfig) { c.Audiences = []string{"nats"} },
			header: map[string]any{"typ": nil},
			claims: oidctest.Claims{"sub": "1", "aud": "nats", "exp": now + 300, "iat": now},
			roles:  "[]",
			denied: []denied{{"its access token", oidctest.Claims{"at_hash": "x"}, wire.TokenWrongKind}},
		},
		{
			name: "Okta, RFC 9068",
			config: func(c *IssuerConfig) {
				c.Audiences, c.Type, c.RolesClaim = []string{"api://nats"}, typeRequire, "scp"
			},
			header: map[string]any{"typ": "at+jwt"},
			claims: oidctest.Claims{
				"ver": 1, "jti": "AT.1", "aud": "api://nats", "iat": now, "exp": now + 3600, "cid": "0oa7", "uid": "00u7", "scp": []string{"device"}, "sub": "device-7",
			},
			roles:  "[device]",
			denied: []denied{{"for another API", oidctest.Claims{"aud": "api://other"}, wire.AudienceMismatch}},
		},
		{
			name: "AWS Cognito, whose access tokens have no aud",
			config: func(c *IssuerConfig) {
				c.Audiences, c.AudienceClaim, c.RolesClaim = []string{"app7"}, "client_id", "cognito:groups"
				c.RequiredClaims = map[string]any{"token_use": "access"}
			},
			header: map[string]any{"typ": nil},
			claims: oidctest.Claims{
				"sub": "d-7", "cognito:groups": []string{"device"}, "client_id": "app7", "token_use": "access", "scope": "nats/connect", "auth_time": now,
				"exp": now + 3600, "iat": now, "jti": "j", "version": 2, "username": "d7",
			},
			roles: "[device]",
			denied: []denied{
				{"ID token", oidctest.Claims{"token_use": "id", "client_id": nil, "aud": "app7"}, wire.AudienceMismatch},
				{"ID token with the client", oidctest.Claims{"token_use": "id"}, wire.TokenWrongKind},
				{"of another client", oidctest.Claims{"client_id": "app8"}, wire.AudienceMismatch},
				{"client_id a number", oidctest.Claims{"client_id": 7}, wire.ClaimInvalid},
			},
		},
		{
			name:   "AWS Cognito, where nobody said audience_claim",
			config: func(c *IssuerConfig) { c.Audiences = []string{"app7"} },
			claims: oidctest.Claims{"sub": "1", "aud": "app7", "exp": now + 300},
			roles:  "[]",
			denied: []denied{{"its access token", oidctest.Claims{"aud": nil, "client_id": "app7", "token_use": "access"}, wire.AudienceMismatch}},
		},
		{
			name: "Kubernetes, a bound service account token",
			config: func(c *IssuerConfig) {
				c.Audiences = []string{"nats"}
				c.RequiredClaims = map[string]any{"sub": []any{"system:serviceaccount:fleet:gateway"}}
			},
			header: map[string]any{"typ": nil},
			claims: oidctest.Claims{
				"aud": []string{"nats"}, "exp": now + 3607, "iat": now, "nbf": now, "jti": "j", "sub": "system:serviceaccount:fleet:gateway",
				"kubernetes.io": map[string]any{"namespace": "fleet", "serviceaccount": map[string]any{"name": "gateway", "uid": "u"}, "pod": map[string]any{"name": "p"}},
			},
			roles: "[]",
			denied: []denied{
				{"for the API server", oidctest.Claims{"aud": []string{"https://kubernetes.default.svc"}}, wire.AudienceMismatch},
				{"of another account", oidctest.Claims{"sub": "system:serviceaccount:fleet:other"}, wire.RequiredClaimMismatch},
				{"of before, that never expires", oidctest.Claims{"exp": nil}, wire.ClaimInvalid},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := oidctest.New(t)
			cfg := issuerConfig(idp.URL)
			cfg.RolesClaim = ""
			tt.config(&cfg)
			b := newBench(t, cfg)
			k := idp.Key(t, "RS256")
			claims := tt.claims.With(oidctest.Claims{"iss": idp.URL})
			v, fail := b.check(k.Sign(t, tt.header, claims), "")
			if fail != nil {
				t.Fatal(fail)
			}
			if fmt.Sprint(v.Roles) != tt.roles || v.Subject != claims["sub"] {
				t.Errorf("roles %v, subject %q", v.Roles, v.Subject)
			}
			for _, d := range tt.denied {
				b.want(d.name, k.Sign(t, tt.header, claims.With(d.change)), d.want)
			}
		})
	}
}

// jwkOf is a key as it is published, changed as given; a nil value takes a member out.
func jwkOf(t *testing.T, k *oidctest.Key, change map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(k.JWK(t))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return oidctest.Claims(out).With(change)
}

// benchWithKeys is a replica whose issuer publishes these keys.
func benchWithKeys(t *testing.T, idp *oidctest.Issuer, keys ...any) *bench {
	t.Helper()
	served := oidctest.New(t)
	served.Handle(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys}) // a client that has gone is the test's business
	})
	cfg := issuerConfig(idp.URL)
	cfg.JWKSURI = served.URL + "/oauth/v2/keys"
	cfg.Algorithms = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	return newBench(t, cfg)
}

// TestPublishedKeys: providers leave members out and put others in.
func TestPublishedKeys(t *testing.T) {
	algorithms := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	idp := oidctest.New(t, algorithms...)
	for name, change := range map[string]map[string]any{
		"without alg":            {"alg": nil},
		"without use":            {"use": nil},
		"with neither":           {"alg": nil, "use": nil},
		"with a certificate":     {"x5c": []string{"MIIBszCCAVmgAwIBAgIUabc"}, "x5t": "rTh", "alg": nil},
		"with members of others": {"issuer": idp.URL, "exp": 2_000_000_000},
		"with key_ops":           {"key_ops": []string{"verify"}, "use": nil},
	} {
		t.Run(name, func(t *testing.T) {
			keys := make([]any, len(algorithms))
			for i, alg := range algorithms {
				keys[i] = jwkOf(t, idp.Key(t, alg), change)
			}
			b := benchWithKeys(t, idp, keys...)
			for _, alg := range algorithms {
				b.want(alg, idp.Mint(t, alg, idp.AccessToken("a")), 0)
			}
		})
	}
}

// TestWeakKeys: a key with which anybody can sign, or with which verifying is a burden, is as good as none.
func TestWeakKeys(t *testing.T) {
	idp := oidctest.New(t)
	good := jwkOf(t, idp.Key(t, "RS256"), nil)
	modulus := func(bits int) []byte {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		if err != nil {
			t.Fatal(err)
		}
		return n.SetBit(n.SetBit(n, bits-1, 1), 0, 1).Bytes()
	}
	rsaKey := func(n, e []byte) map[string]any {
		return map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "weak", "n": oidctest.Encode(n), "e": oidctest.Encode(e)}
	}
	usual := []byte{1, 0, 1}
	claims := idp.AccessToken("a")
	for name, weak := range map[string]map[string]any{
		"RSA of 512 bits": rsaKey(modulus(512), usual), "RSA of 1024 bits": rsaKey(modulus(1024), usual), "RSA of 16384 bits": rsaKey(modulus(16384), usual),
		"e = 1": rsaKey(modulus(2048), []byte{1}), "e = 2": rsaKey(modulus(2048), []byte{2}), "e = 0": rsaKey(modulus(2048), []byte{0}),
		"for encryption":         jwkOf(t, idp.Key(t, "RS256"), map[string]any{"kid": "weak", "use": "enc"}),
		"a secret":               {"kty": "oct", "alg": "HS256", "kid": "weak", "k": oidctest.Encode(bytes.Repeat([]byte("k"), 32))},
		"P-256, off the curve":   {"kty": "EC", "crv": "P-256", "kid": "weak", "alg": "ES256", "x": oidctest.Encode(bytes.Repeat([]byte{1}, 32)), "y": oidctest.Encode(bytes.Repeat([]byte{1}, 32))},
		"Ed25519, zeros":         {"kty": "OKP", "crv": "Ed25519", "kid": "weak", "alg": "EdDSA", "x": oidctest.Encode(make([]byte, 32))},
		"Ed25519, the identity":  {"kty": "OKP", "crv": "Ed25519", "kid": "weak", "alg": "EdDSA", "x": oidctest.Encode(append([]byte{1}, make([]byte, 31)...))},
		"Ed25519, off the curve": {"kty": "OKP", "crv": "Ed25519", "kid": "weak", "alg": "EdDSA", "x": oidctest.Encode(append([]byte{2}, make([]byte, 31)...))},
		"a curve of the others":  {"kty": "EC", "crv": "secp256k1", "kid": "weak", "alg": "ES256K", "x": oidctest.Encode(make([]byte, 32)), "y": oidctest.Encode(make([]byte, 32))},
	} {
		t.Run(name, func(t *testing.T) {
			b := benchWithKeys(t, idp, good, weak)
			token := idp.Key(t, "RS256").Sign(t, map[string]any{"kid": "weak"}, claims)
			b.want("signed with it", token, wire.KeyUnknown)
			b.want("the good key beside it", idp.Token(t, "a"), 0)
		})
	}
}
