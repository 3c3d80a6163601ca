package tokencheck

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/oidctest"
)

// BenchmarkVerify is one token of each algorithm: its bare signature check with crypto, jwx's own parse and verify, a token
// seen for the first time and one that is remembered, all four in turn in one loop; of each the median, to which a
// disturbance does little. miss/crypto and hit-ns/op are what matters.
func BenchmarkVerify(b *testing.B) {
	const distinct = 256 // tokens; the cache holds fewer, so that each is forgotten before it comes again
	for _, name := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(name, func(b *testing.B) {
			idp := oidctest.New(b, name)
			cfg := issuerConfig(idp.URL)
			cfg.Algorithms, cfg.CacheEntries = []string{name}, distinct/2
			iss, err := newIssuer(&cfg, time.Now, zap.NewNop())
			if err != nil {
				b.Fatal(err)
			}
			v := &verifier{issuers: map[string]*issuer{idp.URL: iss}, now: time.Now}
			tokens := make([]string, distinct)
			for i := range tokens {
				tokens[i] = idp.Mint(b, name, idp.AccessToken("sensor-a"))
			}
			parts, fail := parseCompact(tokens[0])
			if fail != nil {
				b.Fatal(fail)
			}
			public, input := idp.Key(b, name).Private.Public(), []byte(parts.signed())
			verifyBare := func() bool { return bare(name, public, input, parts.signature) }
			reference := func() bool {
				_, err := jwt.Parse([]byte(tokens[0]), jwt.WithKey(jwa.SignatureAlgorithm(name), public), jwt.WithIssuer(idp.URL), jwt.WithAudience(oidctest.Project))
				return err == nil
			}
			judge := func(token string) bool {
				_, fail := v.judge(b.Context(), token, "")
				return fail == nil
			}
			if !verifyBare() || !reference() || !judge(tokens[0]) {
				b.Fatal("not verified")
			}
			var crypto, jwx, miss, hit durations
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				t0 := time.Now()
				ok := verifyBare()
				t1 := time.Now()
				ok = reference() && ok
				t2 := time.Now()
				ok = judge(tokens[n%distinct]) && ok
				t3 := time.Now()
				ok = judge(tokens[n%distinct]) && ok
				t4 := time.Now()
				if !ok {
					b.Fatal("not verified")
				}
				crypto, jwx, miss, hit = append(crypto, t1.Sub(t0)), append(jwx, t2.Sub(t1)), append(miss, t3.Sub(t2)), append(hit, t4.Sub(t3))
			}
			if hits, misses := iss.verdicts.stats.hits.Load(), iss.verdicts.stats.misses.Load(); hits != int64(n) || misses != int64(n)+1 {
				b.Fatalf("%d hits and %d misses of %d", hits, misses, n)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(crypto.median(), "crypto-ns/op")
			b.ReportMetric(jwx.median(), "jwx-ns/op")
			b.ReportMetric(miss.median(), "miss-ns/op")
			b.ReportMetric(hit.median(), "hit-ns/op")
			b.ReportMetric(miss.median()/crypto.median(), "miss/crypto")
			b.ReportMetric(jwx.median()/crypto.median(), "jwx/crypto")
		})
	}
}

// durations are of one thing that is done again and again.
type durations []time.Duration

func (d durations) median() float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds())
}

// bare verifies with crypto alone, as a program does that keeps nothing.
func bare(name string, public crypto.PublicKey, input, signature []byte) bool {
	alg := algorithms[name]
	switch public := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, alg.hash, digest(alg.hash, input), signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, signature)
	}
	return alg.verify(&key{public: public}, alg.hash, input, signature)
}

// BenchmarkSteps is what a miss does, step by step.
func BenchmarkSteps(b *testing.B) {
	idp := oidctest.New(b)
	cfg := issuerConfig(idp.URL)
	iss, err := newIssuer(&cfg, time.Now, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	v := &verifier{issuers: map[string]*issuer{idp.URL: iss}, now: time.Now}
	j := &judgement{token: idp.Token(b, "sensor-a")}
	if fail := v.walk(b.Context(), j, checks, nil); fail != nil {
		b.Fatal(fail)
	}
	type step struct {
		name string
		do   func() bool
	}
	steps := []step{
		{"sha256", func() bool { return sha256.Sum256([]byte(j.token)) != [32]byte{} }},
		{"conclusion", func() bool { _, fail := j.conclude(time.Now()); return fail == nil }},
	}
	for _, c := range checks {
		steps = append(steps, step{c.name, func() bool { return c.do(b.Context(), v, j) == nil }})
	}
	for _, step := range steps {
		b.Run(step.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !step.do() {
					b.Fatal("failed")
				}
			}
		})
	}
}
