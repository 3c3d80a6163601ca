package tokencheck

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

func answer(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body)) // a client that has gone is the test's business
	}
}

// gzipped is n zeros as a reply that is compressed a thousandfold.
func gzipped(t *testing.T, n int) http.HandlerFunc {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for range n >> 20 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(out.Bytes()) // as above
	}
}

// TestBadProvider has a provider that was good misbehave in every way: its good keys stay in force, and each fetch is bounded
// in time and size.
func TestBadProvider(t *testing.T) {
	t.Parallel()
	elsewhere := oidctest.New(t)
	var sent atomic.Int64
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
		want   error  // by which it is counted; nil for an answer that cannot be used
		text   string // in the message
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, errStatus, "answered 500"},
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, errStatus, "answered 503"},
		{"404", http.NotFound, errStatus, "answered 404"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, errStatus, "answered 204"},
		{"no keys", answer("application/json", `{"keys":[]}`), nil, "no usable key"},
		{"a web page", answer("text/html; charset=utf-8", `<html>maintenance</html>`), nil, "answered with a web page"},
		{"a web page that says it is JSON", answer("application/json", `<html>maintenance</html>`), nil, "not a JSON object with keys"},
		{"truncated JSON", answer("application/json", `{"keys":[{"kty":"RSA",`), nil, "not a JSON object with keys"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`)) // the server then closes
		}, errUnreachable, "unexpected EOF"},
		{"50 MB", func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(" "), 1<<16)
			for range 50 << 20 >> 16 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
				sent.Add(int64(len(chunk)))
			}
		}, nil, "more than 1048576 bytes"},
		{"gzip bomb", gzipped(t, 256<<20), nil, "more than 1048576 bytes"},
		{"one byte a second", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" ")) // as above
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Second):
				}
			}
		}, errUnreachable, "context deadline exceeded"},
		{"stall", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, errUnreachable, "keys: no answer: "},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/oauth/v2/keys", http.StatusFound)
		}, nil, "redirected to another host"},
		{"redirect to a file", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, nil, "redirected to another host"},
		{"redirect for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, errStatus, "answered 404"},
		{"connection closed", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close() // that is what is tested
			}
		}, errUnreachable, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			idp := oidctest.New(t)
			v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
			keys := v.issuers[idp.URL].keys
			if _, err := keys.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := keys.current.Load()
			idp.Handle(tt.handle)
			start := time.Now()
			_, err := keys.refresh(t.Context())
			if d := time.Since(start); d > fetchTimeout+2*time.Second {
				t.Errorf("took %s", d)
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v, want %q in it", err, tt.text)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (errors.Is(err, errUnreachable) || errors.Is(err, errStatus)) {
				t.Errorf("%v is counted wrong", err)
			}
			if keys.current.Load() != before {
				t.Error("the good keys are gone")
			}
			judged(t, v, idp.Token(t, "sensor-a"), "", 0)
			idp.Heal()
			if _, err := keys.refresh(t.Context()); err != nil {
				t.Errorf("after it recovered: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if n := sent.Load(); n > 16<<20 {
			t.Errorf("%d bytes were taken of a 50 MB answer", n)
		}
		if n := elsewhere.KeyFetches(); n != 0 {
			t.Errorf("%d redirects were followed to another host", n)
		}
	})
}

// TestRedirectWithinHost: a provider may move its keys about on its own host.
func TestRedirectWithinHost(t *testing.T) {
	idp := oidctest.New(t)
	cfg := issuerConfig(idp.URL)
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			answer("application/json", `{"keys":[`+jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"})+`]}`)(w, r)
			return
		}
		http.Redirect(w, r, "/keys", http.StatusMovedPermanently)
	}))
	defer moved.Close()
	cfg.JWKSURI = moved.URL + "/old"
	f, err := newFetcher(&cfg, time.Now)
	must(t, err)
	set, _, err := f.keys(t.Context())
	if err != nil || set.keys["a"] == nil {
		t.Error(err)
	}
}

// TestDiscovery: what discovery may not say.
func TestDiscovery(t *testing.T) {
	for _, tt := range []struct {
		name string
		doc  func(url string) map[string]any
		text string // in the message, empty for good
	}{
		{"as it is", func(url string) map[string]any {
			return map[string]any{"issuer": url, "jwks_uri": url + "/oauth/v2/keys"}
		}, ""},
		{"another issuer", func(url string) map[string]any {
			return map[string]any{"issuer": "https://evil.example.com", "jwks_uri": url + "/oauth/v2/keys"}
		}, `names the issuer "https://evil.example.com"`},
		{"a slash more", func(url string) map[string]any {
			return map[string]any{"issuer": url + "/", "jwks_uri": url + "/oauth/v2/keys"}
		}, "must be the same to the letter"},
		{"no issuer", func(url string) map[string]any { return map[string]any{"jwks_uri": url + "/oauth/v2/keys"} }, "must be the same to the letter"},
		{"issuer a number", func(url string) map[string]any { return map[string]any{"issuer": 1, "jwks_uri": url} }, "not a string"},
		{"no jwks_uri", func(url string) map[string]any { return map[string]any{"issuer": url} }, "no https URL"},
		{"jwks_uri file:", func(url string) map[string]any {
			return map[string]any{"issuer": url, "jwks_uri": "file:///etc/passwd"}
		}, "no https URL"},
		{"jwks_uri data:", func(url string) map[string]any {
			return map[string]any{"issuer": url, "jwks_uri": "data:application/json,{}"}
		}, "no https URL"},
		{"jwks_uri in plain http", func(url string) map[string]any {
			return map[string]any{"issuer": url, "jwks_uri": "http://keys.example.com/keys"}
		}, "no https URL"},
		{"jwks_uri with a password", func(url string) map[string]any {
			return map[string]any{"issuer": url, "jwks_uri": "https://a:b@keys.example.com/keys"}
		}, "no https URL"},
		{"jwks_uri relative", func(url string) map[string]any { return map[string]any{"issuer": url, "jwks_uri": "/keys"} }, "no https URL"},
		{"ISSUER besides", func(url string) map[string]any {
			return map[string]any{"issuer": url, "ISSUER": url, "jwks_uri": url + "/oauth/v2/keys"}
		}, "twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := oidctest.New(t)
			idp.Handle(func(w http.ResponseWriter, r *http.Request) {
				body, err := json.Marshal(tt.doc(idp.URL))
				if strings.HasSuffix(r.URL.Path, "keys") {
					body = []byte(`{"keys":[` + jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"}) + `]}`)
				}
				if err != nil {
					t.Error(err)
				}
				answer("application/json", string(body))(w, r)
			})
			err := probe(t.Context(), &Config{Issuers: []IssuerConfig{issuerConfig(idp.URL)}})
			if tt.text == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "issuers[0] "+idp.URL+": discovery: ") {
				t.Errorf("got %v, want %q in it", err, tt.text)
			}
		})
	}
}

// TestDiscoveryIsKept: a forced refresh asks for the keys alone; discovery is asked again after a failure.
func TestDiscoveryIsKept(t *testing.T) {
	idp := oidctest.New(t)
	c := &clock{}
	cfg := issuerConfig(idp.URL)
	f, err := newFetcher(&cfg, c.now)
	must(t, err)
	fetch := func(discoveries int64) {
		t.Helper()
		if _, _, err := f.keys(t.Context()); err != nil {
			t.Error(err)
		}
		if n := idp.Discoveries(); n != discoveries {
			t.Errorf("%d discoveries, want %d", n, discoveries)
		}
	}
	fetch(1)
	fetch(1)
	idp.Fail(500)
	if _, _, err := f.keys(t.Context()); !errors.Is(err, errStatus) {
		t.Errorf("got %v", err)
	}
	idp.Heal()
	fetch(2)
	c.ahead = rediscover
	fetch(3)
}

// TestProbe names every issuer that would not work, each with its own trouble, in the time of one.
func TestProbe(t *testing.T) {
	t.Parallel()
	good, empty, down := oidctest.New(t), oidctest.New(t), oidctest.New(t)
	empty.Remove(empty.Key(t, "RS256"))
	down.Stall()
	var cfg Config
	for _, url := range []string{good.URL, empty.URL, down.URL, down.URL + "/2", down.URL + "/3", down.URL + "/4"} {
		cfg.Issuers = append(cfg.Issuers, issuerConfig(url))
	}
	start := time.Now()
	err := probe(t.Context(), &cfg)
	if d := time.Since(start); d > 2*fetchTimeout {
		t.Errorf("took %s", d)
	}
	if err == nil {
		t.Fatal("all are good")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 5 || !strings.Contains(lines[0], "issuers[1] "+empty.URL+": keys: no usable key") || !strings.Contains(lines[1], "issuers[2] "+down.URL+": discovery: no answer") {
		t.Errorf("said:\n%v", err)
	}
}

// certificate makes one that is its own authority, for host, until end.
func certificate(t *testing.T, host string, end time.Time) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: end.Add(-48 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// TestTLS: keys come over a connection whose certificate was verified, or not at all.
func TestTLS(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		ca   bool // the certificate is configured as ca_file
		max  uint16
		text string // in the message, empty for good
	}{
		{"own CA", certificate(t, "127.0.0.1", soon), true, 0, ""},
		{"a CA that nobody knows", certificate(t, "127.0.0.1", soon), false, 0, "certificate"},
		{"expired", certificate(t, "127.0.0.1", time.Now().Add(-time.Hour)), true, 0, "expired"},
		{"another host's", certificate(t, "issuer.example.com", soon), true, 0, "certificate"},
		{"TLS 1.1", certificate(t, "127.0.0.1", soon), true, tls.VersionTLS11, "version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := oidctest.New(t)
			server := httptest.NewUnstartedServer(answer("application/json", `{"keys":[`+jwkWith(t, idp.Key(t, "RS256").Private.Public(), map[string]any{"kid": "a"})+`]}`))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}, MaxVersion: tt.max, MinVersion: tls.VersionTLS10}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			cfg := issuerConfig("https://issuer.example.com")
			cfg.JWKSURI = server.URL + "/keys"
			if tt.ca {
				cfg.CAFile = config.Path(filepath.Join(t.TempDir(), "ca.pem"))
				must(t, os.WriteFile(string(cfg.CAFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tt.cert.Certificate[0]}), 0o600))
			}
			f, err := newFetcher(&cfg, time.Now)
			must(t, err)
			_, _, err = f.keys(t.Context())
			switch {
			case tt.text == "" && err != nil:
				t.Error(err)
			case tt.text != "" && (err == nil || !errors.Is(err, errUnreachable) || !strings.Contains(err.Error(), tt.text)):
				t.Errorf("got %v, want %q in it", err, tt.text)
			}
		})
	}
}

// TestConfigURLs: what an operator may write for an issuer, its keys and its CA.
func TestConfigURLs(t *testing.T) {
	empty := config.Path(filepath.Join(t.TempDir(), "empty.pem"))
	must(t, os.WriteFile(string(empty), nil, 0o600))
	for _, tt := range []struct {
		name   string
		change func(*IssuerConfig)
		want   string // in the problem, empty for none
	}{
		{"https", func(*IssuerConfig) {}, ""},
		{"http on loopback", func(c *IssuerConfig) { c.Issuer = "http://127.0.0.1:8080" }, ""},
		{"http on IPv6 loopback", func(c *IssuerConfig) { c.Issuer = "http://[::1]:8080" }, ""},
		{"http on localhost", func(c *IssuerConfig) { c.Issuer = "http://localhost:8080" }, ""},
		{"http elsewhere", func(c *IssuerConfig) { c.Issuer = "http://issuer.example.com" }, "must be https"},
		{"http in the own network", func(c *IssuerConfig) { c.Issuer = "http://10.0.0.1" }, "must be https"},
		{"http on a name like loopback", func(c *IssuerConfig) { c.Issuer = "http://127.0.0.1.example.com" }, "must be https"},
		{"http elsewhere, as asked for", func(c *IssuerConfig) { c.Issuer, c.InsecureHTTP = "http://issuer.example.com", true }, "warning"},
		{"no scheme", func(c *IssuerConfig) { c.Issuer = "issuer.example.com" }, "is not an https URL"},
		{"jwks_uri file:", func(c *IssuerConfig) { c.JWKSURI = "file:///etc/passwd" }, "is not an https URL"},
		{"jwks_uri data:", func(c *IssuerConfig) { c.JWKSURI = "data:application/json,{}" }, "is not an https URL"},
		{"jwks_uri in plain http", func(c *IssuerConfig) { c.JWKSURI = "http://issuer.example.com/keys" }, "must be https"},
		{"ftp", func(c *IssuerConfig) { c.JWKSURI = "ftp://issuer.example.com/keys" }, "must be https"},
		{"CA file missing", func(c *IssuerConfig) { c.CAFile = "/nowhere/ca.pem" }, "no such file"},
		{"CA file without a certificate", func(c *IssuerConfig) { c.CAFile = empty }, "no certificate in PEM form"},
		{"cache too small", func(c *IssuerConfig) { c.CacheBytes = 100 }, "must lie between"},
		{"cache without entries", func(c *IssuerConfig) { c.CacheEntries = -1 }, "must lie between"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := issuerConfig("https://issuer.example.com")
			tt.change(&c)
			var r config.Report
			c.check("issuers[0]", &r)
			got := fmt.Sprint(r.Problems())
			if tt.want == "" && len(r.Problems()) != 0 || !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %q in it", got, tt.want)
			}
			if c.CAFile != "" {
				if _, err := newFetcher(&c, time.Now); err == nil {
					t.Error("a fetcher without its CA file")
				}
			}
		})
	}
}

// TestFloodOfTokens is a minute's worth of random kids, and of bad signatures under a known kid, beside good logins over
// HTTP: no bad signature causes a fetch.
func TestFloodOfTokens(t *testing.T) {
	idp := oidctest.New(t, "ES256")
	v := newTestVerifier(t, time.Now, issuerConfig(idp.URL))
	good := idp.Mint(t, "ES256", idp.AccessToken("sensor-a"))
	judged(t, v, good, "", 0)
	before := idp.KeyFetches()
	signer := idp.Key(t, "ES256")
	for i := range 2000 {
		token := signer.Sign(t, nil, idp.AccessToken(fmt.Sprint("sensor-", i)))
		judged(t, v, token[:len(token)-86]+strings.Repeat("A", 86), "", wire.SignatureInvalid)
	}
	if n := idp.KeyFetches() - before; n != 0 {
		t.Errorf("%d fetches for bad signatures", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for i := range 2000 {
		token := signer.Sign(t, map[string]any{"kid": fmt.Sprint("random-", i)}, idp.AccessToken("sensor-a"))
		if _, fail := v.verify(ctx, token, ""); fail == nil {
			t.Fatal("accepted")
		}
		judged(t, v, good, "", 0)
	}
	if n := idp.KeyFetches() - before; n > 2 {
		t.Errorf("%d fetches for random kids", n)
	}
}

func FuzzParseDiscovery(f *testing.F) {
	const url = "https://issuer.example.com"
	for _, seed := range []string{
		`{"issuer":"` + url + `","jwks_uri":"` + url + `/keys"}`, `{"issuer":"` + url + `","jwks_uri":"file:///etc/passwd"}`, `{"issuer":1}`, `[]`,
		`{"issuer":"` + url + `","ISSUER":"x","jwks_uri":"data:,"}`, `{"issuer":"` + url + `","jwks_uri":"http://127.0.0.1/"}`,
	} {
		f.Add([]byte(seed))
	}
	cfg := issuerConfig(url)
	fetch, err := newFetcher(&cfg, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := fetch.parseDiscovery(data)
		if err != nil {
			return
		}
		if uri := strings.ToLower(doc.JWKSURI); doc.Issuer != url || !strings.HasPrefix(uri, "https:") && !strings.HasPrefix(uri, "http:") {
			t.Fatalf("accepted %+v", doc)
		}
	})
}
