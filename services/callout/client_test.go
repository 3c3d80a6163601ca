package callout

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/jwt/v2"
)

func TestClientTexts(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"
	const password = "correct horse battery staple"
	for _, row := range []struct{ name, in, want string }{
		{"ordinary", "pump 7", "pump 7"},
		{"the token", token, redacted},
		{"the token inside", "x" + token + "y", redacted},
		{"another JWT", "eyJhbGciOiJub25lIn0.e30.", redacted},
		{"the password", password, redacted},
		{"the password inside", "<" + password + ">", redacted},
		{"a short password inside is chance", "sesame street", "sesame street"},
		{"a short password alone", "sesame", redacted},
		{"long", strings.Repeat("a", 1000), strings.Repeat("a", maxClientText)},
		{"not UTF-8", "a\xff", "a\uFFFD"},
		{"cut inside a rune", strings.Repeat("a", maxClientText-1) + "é", strings.Repeat("a", maxClientText-1) + "\uFFFD"},
		{"empty", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			creds := credentials{AuthToken: token, Password: password, JWT: "sesame"}
			claims := newAuthority(t).claims(time.Now())
			claims.ClientInformation.Name, claims.ClientInformation.User, claims.ClientInformation.MQTT = row.in, row.in, row.in
			c, err := clientOf(claims, creds)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []string{c.Name, c.User, c.MQTTClientID} {
				if got != row.want || !utf8.ValidString(got) {
					t.Errorf("%q, want %q", got, row.want)
				}
			}
		})
	}
}

// TestUserThatMayBeAToken: a user name without any credential is kept only when it is too short for a token.
func TestUserThatMayBeAToken(t *testing.T) {
	const opaque = "k7HHkd93hF4cTTsGJpxQ"
	for _, row := range []struct {
		user  string
		creds credentials
		want  string
	}{
		{opaque, credentials{}, redacted},
		{"sensor-test-01", credentials{}, "sensor-test-01"},
		{opaque, credentials{Password: "another-secret-text"}, opaque},
		{opaque, credentials{AuthToken: opaque}, redacted},
	} {
		claims := newAuthority(t).claims(time.Now())
		claims.ClientInformation.User = row.user
		if c := must(clientOf(claims, row.creds)); c.User != row.want {
			t.Errorf("%+v: %q, want %q", row, c.User, row.want)
		}
	}
}

func TestVerifiedLeaf(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber:   big.NewInt(1),
		Subject:        pkix.Name{CommonName: "pump-7", Organization: []string{"Example"}},
		DNSNames:       []string{"pump-7.example.com"},
		EmailAddresses: []string{"pump-7@example.com"},
		URIs:           []*url.URL{must(url.Parse("spiffe://example.com/pump-7"))},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	sum := sha256.Sum256(der)

	got, err := verifiedLeaf(&jwt.ClientTLS{VerifiedChains: []jwt.StringList{{leaf, "the issuer's is not read"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != base64.RawURLEncoding.EncodeToString(sum[:]) || got.Subject != "CN=pump-7,O=Example" ||
		!slices.Equal(got.DNS, template.DNSNames) || !slices.Equal(got.Emails, template.EmailAddresses) ||
		!slices.Equal(got.URIs, []string{"spiffe://example.com/pump-7"}) {
		t.Errorf("leaf is %+v", got)
	}

	for _, row := range []struct {
		name string
		tls  *jwt.ClientTLS
		fail bool
	}{
		{"no TLS", nil, false},
		{"TLS without a certificate", &jwt.ClientTLS{Version: "1.3"}, false},
		{"a certificate that was not verified", &jwt.ClientTLS{Certs: jwt.StringList{leaf}}, false},
		{"an empty chain", &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{}}}, true},
		{"not PEM", &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{"x"}}}, true},
		{"not a certificate", &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{strings.ReplaceAll(leaf, "CERTIFICATE", "PUBLIC KEY")}}}, true},
		{"PEM of noise", &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))}}}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := verifiedLeaf(row.tls)
			if (err != nil) != row.fail || got != nil {
				t.Errorf("leaf %v, error %v, want failure %v", got, err, row.fail)
			}
		})
	}
}
