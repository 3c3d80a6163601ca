package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Project is the audience and the project of the role claim in the tokens.
const Project = "3141592653"

// Algorithms that the provider signs with.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

// Provider is an identity provider reduced to what is read of one: discovery and keys. Its tokens have the shape of
// Zitadel's.
type Provider struct {
	Issuer string
	keys   map[string]crypto.Signer // by algorithm, which is the kid too
	server *http.Server
	paused atomic.Bool
}

// NewProvider starts one on a free port of the loopback interface.
func NewProvider() (*Provider, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Provider{
		Issuer: "http://" + listener.Addr().String(),
		keys:   map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": p.Issuer, "jwks_uri": p.Issuer + "/keys", "id_token_signing_alg_values_supported": Algorithms,
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	keySet := map[string]any{"keys": []any{rsaJWK(&rsaKey.PublicKey), ecJWK(&ecKey.PublicKey), edJWK(edKey.Public())}}
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { reply(w, keySet) })
	p.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.paused.Load() {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		mux.ServeHTTP(w, r)
	})}
	go func() { _ = p.server.Serve(listener) }() // ends with Close
	return p, nil
}

// Pause takes the provider down until the function that it returns is called.
func (p *Provider) Pause() (resume func()) {
	p.paused.Store(true)
	return func() { p.paused.Store(false) }
}

// Close ends the provider.
func (p *Provider) Close() { _ = p.server.Close() }

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the reader may have gone
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(k *rsa.PublicKey) any {
	return map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "RS256", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(k *ecdsa.PublicKey) any {
	point, _ := k.Bytes() // a P-256 key: 0x04, x, y
	return map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ES256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

func edJWK(k crypto.PublicKey) any {
	public, _ := k.(ed25519.PublicKey)
	return map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "EdDSA", "x": b64(public)}
}

// Tokens mints n tokens, each of another device.
func (p *Provider) Tokens(algorithm string, n int) ([]string, error) {
	tokens := make([]string, n)
	errs := make([]error, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for w := range errs {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				tokens[i], errs[w] = p.token(algorithm, i)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (p *Provider) token(algorithm string, i int) (string, error) {
	now := time.Now().Unix()
	id := rand.Text()
	header, _ := json.Marshal(map[string]string{"alg": algorithm, "kid": algorithm, "typ": "JWT"})
	claims, _ := json.Marshal(map[string]any{
		"iss": p.Issuer, "sub": fmt.Sprintf("%018d", i), "aud": []string{Project}, "iat": now, "nbf": now, "exp": now + 12*3600,
		"jti": id, "client_id": fmt.Sprintf("sensor-%d", i), "device_id": fmt.Sprintf("sensor-%d", i),
		"urn:zitadel:iam:org:project:" + Project + ":roles": map[string]any{"device": map[string]string{"271828182845904523": "example.com"}},
	})
	signed := b64(header) + "." + b64(claims)
	signature, err := sign(p.keys[algorithm], []byte(signed))
	return signed + "." + b64(signature), err
}

// sign as RFC 7518 section 3 and RFC 8037 say.
func sign(key crypto.Signer, text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			return nil, err
		}
		raw := make([]byte, 64)
		r.FillBytes(raw[:32])
		s.FillBytes(raw[32:])
		return raw, nil
	case ed25519.PrivateKey:
		return k.Sign(nil, text, crypto.Hash(0))
	default:
		return key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
}
