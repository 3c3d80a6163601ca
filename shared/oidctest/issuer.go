// Package oidctest is an OpenID provider for tests: discovery, keys and introspection over HTTP on loopback, tokens in the
// claim shapes of a real Zitadel, and every way of misbehaving that a provider has. For tests only; it refuses to be of use for
// anything else, because it gives a token to whoever asks.
package oidctest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Project is the project id that tokens are minted for unless told otherwise.
const Project = "400938672314125350"

// RolesClaim is where Zitadel puts the roles of Project.
const RolesClaim = "urn:zitadel:iam:org:project:" + Project + ":roles"

// Issuer is a running provider. Safe for concurrent use.
type Issuer struct {
	URL string

	server *httptest.Server
	faults faults

	mu        sync.Mutex // guards keys, published and clients
	keys      []*Key
	published []*Key
	clients   clients

	discoveries, keyFetches, introspections atomic.Int64
}

// New starts a provider with one key for each of algs, RS256 when there is none, all published. It stops with the test.
func New(t testing.TB, algs ...string) *Issuer {
	t.Helper()
	i := &Issuer{clients: newClients()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /oauth/v2/keys", i.jwks)
	mux.HandleFunc("POST /oauth/v2/introspect", i.introspect)
	i.server = httptest.NewUnstartedServer(mux)
	i.URL = "http://" + i.server.Listener.Addr().String()
	i.server.Start()
	t.Cleanup(func() {
		i.faults.release()
		i.server.CloseClientConnections()
		i.server.Close()
	})
	if len(algs) == 0 {
		algs = []string{"RS256"}
	}
	for _, alg := range algs {
		i.Publish(i.AddKey(t, alg))
	}
	return i
}

// KeyFetches is how often keys were asked for, answered or not.
func (i *Issuer) KeyFetches() int64 { return i.keyFetches.Load() }

// Discoveries is how often the discovery document was asked for.
func (i *Issuer) Discoveries() int64 { return i.discoveries.Load() }

// AddKey makes a key that signs and is not published yet. Mint uses the newest key of an algorithm.
func (i *Issuer) AddKey(t testing.TB, alg string) *Key {
	t.Helper()
	k := newKey(t, alg)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
	return k
}

// Publish adds keys to the key set.
func (i *Issuer) Publish(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = append(i.published, keys...)
}

// Remove takes a key out of the key set and out of use.
func (i *Issuer) Remove(k *Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = without(i.keys, k)
	i.published = without(i.published, k)
}

// Rotate makes a new key for alg, publishes it and keeps the old ones published.
func (i *Issuer) Rotate(t testing.TB, alg string) *Key {
	t.Helper()
	k := i.AddKey(t, alg)
	i.Publish(k)
	return k
}

func without(keys []*Key, k *Key) []*Key {
	var out []*Key
	for _, other := range keys {
		if other != k {
			out = append(out, other)
		}
	}
	return out
}

// Key returns the newest key for alg.
func (i *Issuer) Key(t testing.TB, alg string) *Key {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.keys) - 1; n >= 0; n-- {
		if i.keys[n].Algorithm == alg {
			return i.keys[n]
		}
	}
	t.Fatalf("oidctest: no key for %s", alg)
	return nil
}

func (i *Issuer) discovery(w http.ResponseWriter, r *http.Request) {
	i.discoveries.Add(1)
	i.reply(w, r, map[string]any{
		"issuer":                                i.URL,
		"jwks_uri":                              i.URL + "/oauth/v2/keys",
		"token_endpoint":                        i.URL + "/oauth/v2/token",
		"introspection_endpoint":                i.URL + "/oauth/v2/introspect",
		"id_token_signing_alg_values_supported": []string{"EdDSA", "RS256", "ES256"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, r *http.Request) {
	i.keyFetches.Add(1)
	i.mu.Lock()
	set := jwk.NewSet()
	for _, k := range i.published {
		_ = set.AddKey(k.public) // the keys are ours and distinct
	}
	i.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=300, must-revalidate")
	i.reply(w, r, set)
}

func (i *Issuer) reply(w http.ResponseWriter, r *http.Request, body any) {
	if i.faults.answer(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that has gone is the test's business
}
