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
	"net/url"
	"strconv"
	"strings"
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
}

func newFetcher(cfg *IssuerConfig, now func() time.Time) (*fetcher, error) {
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
	f := &fetcher{cfg: cfg, now: now}
	f.client = &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: f.redirect}
	return f, nil
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

var errRedirect = errors.New("redirected to another host, or too often")

// redirect follows a redirect only within the host that was asked.
func (f *fetcher) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || hostPort(req.URL) != hostPort(via[0].URL) || req.URL.Scheme != via[0].URL.Scheme {
		return errRedirect
	}
	return nil
}

// keys fetches the key set and says for how long the provider wants it to be used, 0 when it does not say.
func (f *fetcher) keys(ctx context.Context) (*keySet, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	uri := f.cfg.JWKSURI
	if uri == "" {
		var err error
		if uri, err = f.discover(ctx); err != nil {
			return nil, 0, fmt.Errorf("discovery: %w", err)
		}
	}
	asked := f.now()
	body, header, err := f.get(ctx, uri)
	if err != nil {
		return nil, 0, fmt.Errorf("keys: %w", err)
	}
	set, err := parseKeySet(body, asked)
	if err != nil {
		return nil, 0, fmt.Errorf("keys: %w", err)
	}
	return set, maxAge(header.Get("Cache-Control")), nil
}

var discoveryLimits = strictjson.Limits{MaxBytes: maxKeySetBytes, MaxDepth: 16, MaxMembers: 1 << 14}

// discover returns jwks_uri of the discovery document, whose issuer must be the configured one to the letter (OpenID
// Connect Discovery section 4.3).
func (f *fetcher) discover(ctx context.Context) (string, error) {
	body, _, err := f.get(ctx, strings.TrimSuffix(f.cfg.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	return f.parseDiscovery(body)
}

func (f *fetcher) parseDiscovery(body []byte) (string, error) {
	if err := strictjson.CheckObject(body, discoveryLimits, "issuer", "jwks_uri"); err != nil {
		return "", err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", errors.New("issuer or jwks_uri is not a string")
	}
	if doc.Issuer != f.cfg.Issuer {
		return "", fmt.Errorf("names the issuer %q, configured is %q; they must be the same to the letter", bounded(doc.Issuer), f.cfg.Issuer)
	}
	u, err := url.Parse(doc.JWKSURI)
	if err != nil || u.Host == "" || u.User != nil || !f.cfg.allowed(u) {
		return "", fmt.Errorf("names the jwks_uri %q, which is no https URL", bounded(doc.JWKSURI))
	}
	return doc.JWKSURI, nil
}

// get reads a JSON document of at most maxKeySetBytes, after decompression.
func (f *fetcher) get(ctx context.Context, uri string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // what is left of the body is of no interest
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %d", uri, resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && strings.HasPrefix(kind, "text/html") {
		return nil, nil, fmt.Errorf("%s answered with a web page", uri)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxKeySetBytes {
		return nil, nil, fmt.Errorf("%s answered with more than %d bytes", uri, maxKeySetBytes)
	}
	return body, resp.Header, nil
}

// maxAge returns the max-age of a Cache-Control header (RFC 9111 section 5.2.2.1), 0 when there is none. no-store and
// no-cache are not looked at: some providers send them with every reply, and keys must be kept for some time.
func maxAge(header string) time.Duration {
	for directive := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}
