package tokencheck

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// IntrospectionConfig is how the provider is asked about a token (RFC 7662): as which client, and how long its answer is
// believed.
type IntrospectionConfig struct {
	// Endpoint is where it is asked. Default: what discovery says.
	Endpoint string `yaml:"endpoint"`
	// ClientID is the client that asks. Required, unless private_key_file is Zitadel's JSON, which names it.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the client's secret (client_secret_basic). Either this or private_key_file is required.
	ClientSecretFile config.Path `yaml:"client_secret_file"`
	// PrivateKeyFile holds the client's private key (private_key_jwt, RFC 7523): the JSON file that Zitadel gives for an API
	// application's key, or a PEM file with an RSA, P-256, P-384, P-521 or Ed25519 key.
	PrivateKeyFile config.Path `yaml:"private_key_file"`
	// KeyID is the kid of the key in a PEM file. Default: none is sent.
	KeyID string `yaml:"key_id"`
	// Audience is the aud of the assertion that the key signs. Default: the issuer.
	Audience string `yaml:"audience"`
	// CacheTTL is how long an answer "active" is believed, at most until the token's exp; a user that was deactivated can still
	// log in for so long. 0s: not at all. Default 5s, at most 1m.
	CacheTTL *time.Duration `yaml:"cache_ttl"`
	// InactiveTTL is how long an answer "not active" is believed, at most cache_ttl. Default 1s, or cache_ttl if that is less.
	InactiveTTL *time.Duration `yaml:"inactive_ttl"`
}

// Values of Introspect.
const (
	introspectNever  = "never"
	introspectOpaque = "opaque"
	introspectJWT    = "jwt"
	introspectAlways = "always"
)

const (
	defaultCacheTTL    = 5 * time.Second
	defaultInactiveTTL = time.Second
	maxCacheTTL        = time.Minute
	// maxIntrospecting bounds the questions to one provider at once; more fail at once, because a provider that does not
	// answer must not hold up the logins that do not need it (DESIGN P3).
	maxIntrospecting = 256
	// maxStrangers bounds those about tokens that nothing is known of, opaque ones: anybody can make them up, and must not
	// take the place of those whose signature was verified.
	maxStrangers = 192
	// maxIntrospected and maxIntrospectedBytes bound the answers that are remembered.
	maxIntrospected      = 2048
	maxIntrospectedBytes = 16 << 20
	// endpointKept is how long the endpoint that discovery names is used.
	endpointKept = time.Hour
	// endpointFresh is how long it is not looked for again whatever happens: a provider in trouble is not asked twice for each
	// question.
	endpointFresh = 10 * time.Second
	// maxFarTime is the largest time accepted in an answer, the end of the year 9999: what Zitadel says of a token that never
	// expires.
	maxFarTime = 253_402_300_799
)

func (c *IntrospectionConfig) setDefaults() {
	if c.CacheTTL == nil {
		ttl := defaultCacheTTL
		c.CacheTTL = &ttl
	}
	if c.InactiveTTL == nil {
		ttl := min(defaultInactiveTTL, *c.CacheTTL)
		c.InactiveTTL = &ttl
	}
}

func (c *IntrospectionConfig) check(key, issuer string, r *config.Report) {
	if _, err := c.credentials(issuer); err != nil {
		r.Errorf(key, "%v", err)
	}
	if *c.CacheTTL < 0 || *c.CacheTTL > maxCacheTTL {
		r.Errorf(key+".cache_ttl", "must lie between 0s and %s", maxCacheTTL)
	}
	if *c.InactiveTTL < 0 || *c.InactiveTTL > *c.CacheTTL {
		r.Errorf(key+".inactive_ttl", "must lie between 0s and cache_ttl")
	}
}

// introspector asks one provider about tokens. Logins with one token ask together, and an answer is remembered for a
// short time. Safe for concurrent use.
type introspector struct {
	cfg         *IntrospectionConfig
	source      *fetcher // for discovery
	client      *http.Client
	credentials *credentials
	now         func() time.Time
	log         *zap.Logger

	flights singleflight.Group // by the token's SHA-256
	slots   chan struct{}
	// strangers are the slots of tokens that nothing is known of, besides one of slots.
	strangers chan struct{}
	mu        sync.Mutex // guards known, held for one step of it
	known     *sized[[sha256.Size]byte, *introspected]
	endpoint  atomic.Pointer[foundEndpoint]
	locating  singleflight.Group // while questions wait for one, discovery is not asked again
	failing   atomic.Bool
	stats     introspectorStats
}

type foundEndpoint struct {
	uri string
	at  time.Time
}

// introspectorStats counts since the start.
type introspectorStats struct {
	active, inactive, failed, busy, remembered atomic.Int64
}

// newIntrospector returns the one of an issuer whose configuration passed its check.
func newIntrospector(cfg *IssuerConfig, source *fetcher, now func() time.Time, log *zap.Logger) (*introspector, error) {
	credentials, err := cfg.Introspection.credentials(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	transport.MaxConnsPerHost, transport.MaxIdleConns, transport.MaxIdleConnsPerHost = maxIntrospecting, 64, 64
	return &introspector{
		cfg: cfg.Introspection, source: source, credentials: credentials, now: now, log: log,
		// The token and the client's credentials go to the one address that was configured or discovered, and nowhere else.
		client:    &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		slots:     make(chan struct{}, maxIntrospecting),
		strangers: make(chan struct{}, maxStrangers),
		known:     newSized[[sha256.Size]byte, *introspected](maxIntrospected, maxIntrospectedBytes),
	}, nil
}

// ask returns what the provider says about a token, of which verified says that its signature was verified. It fails with
// IntrospectionUnavailable, which is transient: only an answer is definite.
func (i *introspector) ask(ctx context.Context, token string, verified bool) (*introspected, *wire.Error) {
	sum := sha256.Sum256([]byte(token))
	if known := i.remembered(sum); known != nil {
		return known, nil
	}
	// The question belongs to nobody who waits for it: one that goes away does not fail the others.
	flight := i.flights.DoChan(string(sum[:]), func() (any, error) { return i.lead(sum, token, verified) })
	ctx, cancel := shareOf(ctx, joinShare)
	defer cancel()
	select {
	case r := <-flight:
		if r.Err != nil {
			return nil, wire.Fail(wire.IntrospectionUnavailable, unavailable(r.Err), r.Err)
		}
		return r.Val.(*introspected), nil
	case <-ctx.Done():
		return nil, wire.Fail(wire.IntrospectionUnavailable, "the provider did not answer in time", ctx.Err())
	}
}

// remembered returns the answer that is kept about a token and still holds, nil for none.
func (i *introspector) remembered(sum [sha256.Size]byte) *introspected {
	i.mu.Lock()
	defer i.mu.Unlock()
	known, ok := i.known.get(sum)
	switch {
	case !ok:
		return nil
	case !i.now().Before(known.until):
		i.known.remove(sum)
		return nil
	}
	i.stats.remembered.Add(1)
	return known
}

var (
	errBusy       = errors.New("too many questions to the provider are open")
	errRefused    = errors.New("the provider refuses client_id or its secret or key")
	errNoAnswer   = errors.New("not an answer of RFC 7662 section 2.2")
	errNoEndpoint = errors.New("discovery names no introspection_endpoint; set introspection.endpoint")
	errPanicking  = errors.New("panic")
)

// unavailable says in few words, without an address, what kept the answer from coming.
func unavailable(err error) string {
	for _, known := range []error{errBusy, errRefused, errNoAnswer, errNoEndpoint} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ""
}

// lead asks for all who wait, and remembers the answer. Another may have asked since the one that leads looked.
func (i *introspector) lead(sum [sha256.Size]byte, token string, verified bool) (answer *introspected, err error) {
	if known := i.remembered(sum); known != nil {
		return known, nil
	}
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("%w: %v", errPanicking, p)
		}
		i.note(answer, err)
	}()
	end, free := i.slot(verified)
	if !free {
		return nil, errBusy
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	asked := i.now()
	body, err := i.post(ctx, token)
	if err != nil {
		return nil, err
	}
	if answer, err = parseAnswer(body); err != nil {
		return nil, err
	}
	ttl := *i.cfg.InactiveTTL
	if answer.active {
		ttl = *i.cfg.CacheTTL
	}
	answer.until = asked.Add(ttl)
	if answer.active && answer.claims.has.expires {
		answer.until = earlier(answer.until, time.Unix(answer.claims.expires, 0))
	}
	if asked.Before(answer.until) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.known.add(sum, answer)
	}
	return answer, nil
}

// slot takes the place of one question, until end is called.
func (i *introspector) slot(verified bool) (end func(), free bool) {
	taken := make([]chan struct{}, 0, 2)
	end = func() {
		for _, places := range taken {
			<-places
		}
	}
	for _, places := range []chan struct{}{i.strangers, i.slots} {
		if verified && places == i.strangers {
			continue
		}
		select {
		case places <- struct{}{}:
			taken = append(taken, places)
		default:
			end()
			return nil, false
		}
	}
	return end, true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// note counts, and logs the first failure and the first answer after failures: there may be thousands in between.
func (i *introspector) note(answer *introspected, err error) {
	switch {
	case errors.Is(err, errBusy):
		i.stats.busy.Add(1)
		return
	case err != nil:
		i.stats.failed.Add(1)
		if !i.failing.Swap(true) {
			i.log.Warn("the provider cannot be asked about tokens; logins that need it are let go until it can", zap.Error(err))
		}
		return
	case answer.active:
		i.stats.active.Add(1)
	default:
		i.stats.inactive.Add(1)
	}
	if i.failing.Swap(false) {
		i.log.Info("the provider answers about tokens again")
	}
}

// post is one question (RFC 7662 section 2.1) and the body of its answer.
func (i *introspector) post(ctx context.Context, token string) ([]byte, error) {
	uri, err := i.locate(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if err := i.credentials.add(form, header, i.now()); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := i.client.Do(req)
	if err != nil {
		i.forgetEndpoint()
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // what is left of the body is of no interest
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		i.forgetEndpoint()
		return nil, fmt.Errorf("%w: %s answered %d", errRefused, uri, resp.StatusCode)
	default:
		i.forgetEndpoint()
		return nil, fmt.Errorf("%s answered %d", uri, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxClaimsBytes+1))
	if err == nil && len(body) > wire.MaxClaimsBytes {
		err = fmt.Errorf("%w: more than %d bytes", errNoAnswer, wire.MaxClaimsBytes)
	}
	return body, err
}

// locate returns the endpoint.
func (i *introspector) locate(ctx context.Context) (string, error) {
	if i.cfg.Endpoint != "" {
		return i.cfg.Endpoint, nil
	}
	if uri := i.keptEndpoint(); uri != "" {
		return uri, nil
	}
	found, err, _ := i.locating.Do("", func() (any, error) {
		if uri := i.keptEndpoint(); uri != "" { // another found it since this one looked
			return uri, nil
		}
		return i.discover(ctx)
	})
	if err != nil {
		return "", err
	}
	return found.(string), nil
}

// keptEndpoint returns the endpoint that was found, "" for none or one that is to be looked for again.
func (i *introspector) keptEndpoint() string {
	if kept := i.endpoint.Load(); kept != nil && i.now().Sub(kept.at) < endpointKept {
		return kept.uri
	}
	return ""
}

// forgetEndpoint has the endpoint looked for again, because it may have moved, unless it was found a moment ago.
func (i *introspector) forgetEndpoint() {
	if kept := i.endpoint.Load(); kept != nil && i.now().Sub(kept.at) >= endpointFresh {
		i.endpoint.CompareAndSwap(kept, nil)
	}
}

// discover asks for the endpoint and keeps it.
func (i *introspector) discover(ctx context.Context) (string, error) {
	doc, err := i.source.discover(ctx)
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	if doc.IntrospectionEndpoint == "" {
		return "", errNoEndpoint
	}
	if !i.source.cfg.mayAsk(doc.IntrospectionEndpoint) {
		return "", fmt.Errorf("discovery names the introspection_endpoint %q, which is no https URL", bounded(doc.IntrospectionEndpoint))
	}
	i.endpoint.Store(&foundEndpoint{doc.IntrospectionEndpoint, i.now()})
	return doc.IntrospectionEndpoint, nil
}
