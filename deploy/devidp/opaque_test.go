package devidp_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"harmony.internal/authcallout/deploy/devidp"
)

func TestOpaqueTokens(t *testing.T) {
	dir := t.TempDir()
	s := start(t, func(c *devidp.Config) {
		c.DataDir = dir
		c.TokenLifetime = 3 * time.Hour
		c.Users = append(c.Users, devidp.User{Name: "sensor-b", TokenType: devidp.TokenBearer})
	})
	scopes := devidp.DeviceScopes(s.Project())
	token := profileToken(t, s, "sensor-b", scopes...)
	if strings.Count(token, ".") == 2 {
		t.Fatal("the token is a JWT")
	}
	got := introspect(t, s, "api", token)
	_, of, _ := verify(t, s, profileToken(t, s, "sensor-a", scopes...))
	for claim := range of {
		if got[claim] == nil {
			t.Errorf("introspection lacks %s, which a JWT has", claim)
		}
	}
	if aud, ok := got["aud"].([]any); !ok || len(aud) != 1 || aud[0] != s.Project() || got["active"] != true || got["iss"] != s.Issuer() || got["client_id"] != "sensor-b" {
		t.Errorf("introspection: %v", got)
	}
	if end, issued := got["exp"].(float64), got["iat"].(float64); end-issued != (3 * time.Hour).Seconds() {
		t.Errorf("it lives %v s", end-issued)
	}
	if got := introspect(t, s, "sensor-a", token); got["active"] != false {
		t.Errorf("another user may introspect it: %v", got)
	}
	again := start(t, func(c *devidp.Config) { c.DataDir, c.Issuer = dir, s.Issuer() })
	asked := func(server *devidp.Server) any {
		_, body := post(t, "http://"+server.Addr()+"/oauth/v2/introspect", "api", secret(t, s, "api"), url.Values{"token": {token}})
		return body["active"]
	}
	if asked(again) != true {
		t.Error("a restart forgot the token")
	}
	if err := again.Deactivate("sensor-b"); err != nil {
		t.Fatal(err)
	}
	if err := again.Reactivate("sensor-b"); err != nil {
		t.Fatal(err)
	}
	if asked(again) != false {
		t.Error("the token outlived its user's deactivation")
	}
}

func TestOpaqueTokenEnds(t *testing.T) {
	s := start(t, func(c *devidp.Config) {
		c.TokenLifetime = time.Second
		c.Users = append(c.Users, devidp.User{Name: "sensor-b", TokenType: devidp.TokenBearer})
	})
	token := profileToken(t, s, "sensor-b")
	for deadline := time.Now().Add(30 * time.Second); introspect(t, s, "api", token)["active"] != false; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a token of a second is active after thirty")
		}
	}
}

// TestApplicationKey introspects as the application "api" with its key file (RFC 7523 section 2.2), as Zitadel hands it out.
func TestApplicationKey(t *testing.T) {
	s := start(t, nil)
	var file struct{ Type, KeyID, Key, ClientID string }
	readJSON(t, s.KeyFile("api"), &file)
	if file.Type != "application" || file.ClientID != "api" {
		t.Errorf("key file of type %q, client %q", file.Type, file.ClientID)
	}
	block, _ := pem.Decode([]byte(file.Key))
	if block == nil {
		t.Fatal("no PEM in it")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	asked := func(key *rsa.PrivateKey, keyID string) (int, any) {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		assertion, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: "api", Subject: "api", Audience: jwt.Audience{s.Issuer()},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute))}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.PostForm(s.Issuer()+"/oauth/v2/introspect", url.Values{ //nolint:noctx // a test against loopback
			"token":                 {profileToken(t, s, "sensor-a")},
			"client_assertion":      {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var body map[string]any
		_ = json.NewDecoder(response.Body).Decode(&body) // a refusal may be anything
		return response.StatusCode, body["active"]
	}
	if status, active := asked(key, file.KeyID); status != http.StatusOK || active != true {
		t.Errorf("with its key: status %d, active %v", status, active)
	}
	if status, active := asked(key, ""); status == http.StatusOK || active == true {
		t.Errorf("with a key without id: status %d, active %v", status, active)
	}
}

// TestStateOfAnOlderVersion has the state of a provider that knew neither opaque tokens nor the application's key.
func TestStateOfAnOlderVersion(t *testing.T) {
	dir := t.TempDir()
	first := start(t, func(c *devidp.Config) { c.DataDir = dir })
	token, apiSecret := profileToken(t, first, "sensor-a"), secret(t, first, "api")
	path := filepath.Join(dir, "state.json")
	var state map[string]any
	readJSON(t, path, &state)
	delete(state, "token_key")
	delete(state, "opaque")
	api, ok := state["api"].(map[string]any)
	if !ok {
		t.Fatalf("state: %v", state)
	}
	delete(api, "key")
	raw, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.WriteFile(path, raw, 0o600), os.Remove(first.KeyFile("api"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	second := start(t, func(c *devidp.Config) { c.DataDir, c.Issuer = dir, first.Issuer() })
	if secret(t, second, "api") != apiSecret {
		t.Error("the application got another secret")
	}
	if _, err := os.Stat(second.KeyFile("api")); err != nil {
		t.Error(err)
	}
	if _, _, ok := verify(t, second, token); !ok {
		t.Error("the signing key is another")
	}
	var now struct {
		TokenKey []byte `json:"token_key"`
	}
	readJSON(t, path, &now)
	if len(now.TokenKey) != 32 {
		t.Errorf("a token key of %d bytes", len(now.TokenKey))
	}
}
