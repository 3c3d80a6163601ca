package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
)

// idp is the provider. It keeps sessions, client and key without a lock, so that every request and every change takes mu.
type idp struct {
	*mockoidc.MockOIDC
	mu sync.Mutex
}

// tokens are the answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

func startProvider(t *testing.T) *idp {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{MockOIDC: m}
	if err := m.AddMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ln, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Server.Close() }) // the listener is all that it holds
	return p
}

// change changes the provider between two requests.
func (p *idp) change(f func(*mockoidc.MockOIDC)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p.MockOIDC)
}

// login is the authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636) for a user whose sub is the device.
func (p *idp) login(t *testing.T, device string) tokens {
	t.Helper()
	const redirect, verifier = "http://127.0.0.1/callback", "a-verifier-of-at-least-forty-three-characters"
	challenge := sha256.Sum256([]byte(verifier))
	var id, secret string
	p.change(func(m *mockoidc.MockOIDC) {
		m.QueueUser(&mockoidc.MockUser{Subject: device, Groups: []string{"device"}})
		id, secret = m.ClientID, m.ClientSecret
	})
	client := &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Get(p.AuthorizationEndpoint() + "?" + url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "scope": {"openid groups"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // a redirect has nothing to say
	to, err := answer.Location()
	if err != nil {
		t.Fatalf("%s: %v", answer.Status, err)
	}
	answer, err = client.PostForm(p.TokenEndpoint(), url.Values{
		"grant_type": {"authorization_code"}, "client_id": {id}, "client_secret": {secret},
		"code": {to.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end
	var got tokens
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.Access == "" || got.ID == "" || got.Refresh == "" {
		t.Fatalf("token endpoint: %s, %v", answer.Status, err)
	}
	return got
}
