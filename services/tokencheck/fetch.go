package tokencheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/strictjson"
)

const (
	dialTimeout  = 2 * time.Second
	fetchTimeout = 5 * time.Second
	maxRedirects = 3
)

// fetcher reads one issuer's discovery document and keys over HTTP. Safe for concurrent use.
type fetcher struct {
	cfg    *IssuerConfig
	client *http.Client
	now    func() time.Time

	discovered atomic.Pointer[discovered] // nil when discovery must be asked
}

func newFetcher(cfg *IssuerConfig, now func() time.Time) (*fetcher, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	f := &fetcher{cfg: cfg, now: now}
	f.client = &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: f.redirect}
	return f, nil
}

// newTransport returns a transport of its own for one purpose at one issuer, so that none waits for another's connections.
func newTransport(cfg *IssuerConfig) (*http.Transport, error) {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ResponseHeaderTimeout: fetchTimeout,
		MaxIdleConns:          2,
		IdleConnTimeout:       time.Minute,
		MaxConnsPerHost:       4,
		ForceAttemptHTTP2:     true,
	}
	if cfg.CAFile != "" {
		pool, err := certPool(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return transport, nil
}

// certPool reads a CA file. There is no way from an unreadable file to no verification.
func certPool(p config.Path) (*x509.CertPool, error) {
	pem, err := readable(p)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM form in it", p)
	}
	return pool, nil
}

// Errors by which a failed fetch is counted; every other one is of an answer that cannot be used.
var (
	errUnreachable = errors.New("no answer")
	errStatus      = errors.New("not the answer 200")
)

var errRedirect = errors.New("redirected to another host, or too often")

// redirect follows a redirect only within the host that was asked.
func (f *fetcher) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || hostPort(req.URL) != hostPort(via[0].URL) || req.URL.Scheme != via[0].URL.Scheme {
		return errRedirect
	}
	return nil
}

// keys fetches the key set and says for how long the provider wants it to be used, 0 when it does not say. The discovery
// document is read again when that failed, and once in a while.
func (f *fetcher) keys(ctx context.Context) (*keySet, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	uri, err := f.keysURI(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("discovery: %w", err)
	}
	asked := f.now()
	body, header, err := f.get(ctx, uri)
	if err != nil {
		f.discovered.Store(nil)
		return nil, 0, fmt.Errorf("keys: %w", err)
	}
	set, err := parseKeySet(body, asked)
	if err != nil {
		f.discovered.Store(nil)
		return nil, 0, fmt.Errorf("keys: %w", err)
	}
	return set, maxAge(header.Values("Cache-Control")), nil
}

// rediscover is how long the address of the keys is used before discovery is asked again.
const rediscover = 30 * time.Minute

// discovered is the address of the keys and when discovery named it.
type discovered struct {
	uri string
	at  time.Time
}

// keysURI is where the keys are.
func (f *fetcher) keysURI(ctx context.Context) (string, error) {
	if f.cfg.JWKSURI != "" {
		return f.cfg.JWKSURI, nil
	}
	now := f.now()
	if d := f.discovered.Load(); d != nil && now.Sub(d.at).Abs() < rediscover {
		return d.uri, nil
	}
	doc, err := f.discover(ctx)
	if err != nil {
		return "", err
	}
	f.discovered.Store(&discovered{doc.JWKSURI, now})
	return doc.JWKSURI, nil
}

var discoveryLimits = strictjson.Limits{MaxBytes: maxKeySetBytes, MaxDepth: 16, MaxMembers: 1 << 14}

// discovery is a provider's discovery document as far as it is used. JWKSURI is a URL that may be asked;
// whoever uses another looks at it first.
type discovery struct {
	Issuer                string `json:"issuer"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
}

// discover returns the discovery document, whose issuer must be the configured one to the letter (OpenID Connect Discovery
// section 4.3).
func (f *fetcher) discover(ctx context.Context) (*discovery, error) {
	body, _, err := f.get(ctx, strings.TrimSuffix(f.cfg.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	return f.parseDiscovery(body)
}

func (f *fetcher) parseDiscovery(body []byte) (*discovery, error) {
	if err := strictjson.CheckObject(body, discoveryLimits, "issuer", "jwks_uri", "introspection_endpoint"); err != nil {
		return nil, err
	}
	doc := &discovery{}
	if err := json.Unmarshal(body, doc); err != nil {
		return nil, errors.New("issuer, jwks_uri or introspection_endpoint is not a string")
	}
	if doc.Issuer != f.cfg.Issuer {
		return nil, fmt.Errorf("names the issuer %q, configured is %q; they must be the same to the letter", bounded(doc.Issuer), f.cfg.Issuer)
	}
	if !f.cfg.mayAsk(doc.JWKSURI) {
		return nil, fmt.Errorf("names the jwks_uri %q, which is no https URL", bounded(doc.JWKSURI))
	}
	return doc, nil
}

// get reads a JSON document of at most maxKeySetBytes, after decompression.
func (f *fetcher) get(ctx context.Context, uri string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if errors.Is(err, errRedirect) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer func() { _ = resp.Body.Close() }() // what is left of the body is of no interest
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%w: %s answered %d", errStatus, uri, resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && strings.HasPrefix(kind, "text/html") {
		return nil, nil, fmt.Errorf("%s answered with a web page", uri)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if len(body) > maxKeySetBytes {
		return nil, nil, fmt.Errorf("%s answered with more than %d bytes", uri, maxKeySetBytes)
	}
	return body, resp.Header, nil
}

// maxAge returns the max-age of Cache-Control headers (RFC 9111 section 5.2.2.1), at least a second, 0 when there is none.
// no-store and no-cache are not looked at: some providers send them with every reply, and keys must be kept for some time.
func maxAge(headers []string) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return maxRefresh // longer than anybody can mean
		case err != nil:
			return 0
		}
		return max(time.Second, time.Duration(seconds)*time.Second)
	}
	return 0
}
