package oidctest

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// clients are those that may introspect, and the tokens that they may ask about.
type clients struct {
	secrets map[string]string
	keys    map[string]clientKey
	seen    map[string]bool // jti of assertions
	opaque  map[string]Claims
	revoked map[string]bool
}

type clientKey struct {
	algorithm jwa.SignatureAlgorithm
	id        string
	public    crypto.PublicKey
}

func newClients() clients {
	return clients{
		secrets: map[string]string{}, keys: map[string]clientKey{}, seen: map[string]bool{},
		opaque: map[string]Claims{}, revoked: map[string]bool{},
	}
}

// AddClient lets a client introspect with client_secret_basic. The same again replaces the secret.
func (i *Issuer) AddClient(id, secret string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients.secrets[id] = secret
}

// AddClientKey lets a client introspect with private_key_jwt. An empty kid is not looked at.
func (i *Issuer) AddClientKey(id, kid, algorithm string, public crypto.PublicKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients.keys[id] = clientKey{jwa.SignatureAlgorithm(algorithm), kid, public}
}

// Opaque issues an opaque token. Introspection answers with claims.
func (i *Issuer) Opaque(claims Claims) string {
	token := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients.opaque[token] = claims
	return token
}

// Revoke makes introspection say that a token, opaque or a JWT, is not active.
func (i *Issuer) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients.revoked[token] = true
}

// Introspections is how often a token was asked about, answered or not.
func (i *Issuer) Introspections() int64 { return i.introspections.Load() }

// introspect is RFC 7662 section 2, as Zitadel serves it.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	i.introspections.Add(1)
	if i.faults.answer(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := r.ParseForm(); err != nil || !i.authenticated(r) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`)) // a client that has gone is the test's business
		return
	}
	answer := Claims{"active": false}
	if claims, ok := i.live(r.PostForm.Get("token")); ok {
		answer = claims.With(Claims{"active": true, "token_type": "Bearer"})
	}
	_ = json.NewEncoder(w).Encode(answer) // as above
}

func (i *Issuer) authenticated(r *http.Request) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if id, secret, ok := r.BasicAuth(); ok {
		// Both are form values inside (RFC 6749 section 2.3.1).
		id, errID := url.QueryUnescape(id)
		secret, errSecret := url.QueryUnescape(secret)
		want, known := i.clients.secrets[id]
		return errID == nil && errSecret == nil && known && secret == want
	}
	if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	return i.assertionHolds([]byte(r.PostForm.Get("client_assertion")))
}

// assertionHolds judges as RFC 7523 section 3 says, and takes each assertion once. i.mu is held.
func (i *Issuer) assertionHolds(assertion []byte) bool {
	unverified, err := jwt.ParseInsecure(assertion)
	if err != nil {
		return false
	}
	k, ok := i.clients.keys[unverified.Issuer()]
	if !ok {
		return false
	}
	token, err := jwt.Parse(assertion, jwt.WithKey(k.algorithm, k.public), jwt.WithSubject(unverified.Issuer()), jwt.WithAudience(i.URL), jwt.WithRequiredClaim("exp"))
	if err != nil || token.JwtID() == "" || i.clients.seen[token.JwtID()] || time.Until(token.Expiration()) > time.Hour {
		return false
	}
	message, err := jws.Parse(assertion)
	if err != nil || (k.id != "" && message.Signatures()[0].ProtectedHeaders().KeyID() != k.id) {
		return false
	}
	i.clients.seen[token.JwtID()] = true
	return true
}

// live returns what an active token says: one that was issued here, and is neither over nor revoked.
func (i *Issuer) live(token string) (Claims, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.clients.revoked[token] {
		return nil, false
	}
	if claims, ok := i.clients.opaque[token]; ok {
		return claims, true
	}
	for _, k := range slices.Concat(i.keys, i.published) {
		payload, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(k.Algorithm), k.Private.Public()))
		var claims Claims
		if err == nil && json.Unmarshal(payload, &claims) == nil {
			return claims, true
		}
	}
	return nil, false
}
