package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/oidctest"
)

// authority issues certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) issue(t *testing.T, name string, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// write puts a certificate and its key into files.
func write(t *testing.T, dir, name string, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestCertificateBoundTokens is RFC 8705 from the client's TLS to the answer: a websocket listener that verifies client
// certificates, and a client that shows the one that its token is bound to, another, or none.
func TestCertificateBoundTokens(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			ca, dir := newAuthority(t), t.TempDir()
			serverCert, serverKey := write(t, dir, "server", ca.issue(t, "localhost", 2))
			caFile, _ := write(t, dir, "ca", tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key})
			secure := cluster.FreeAddress(t)
			c := cluster.Start(t, cluster.Options{Shape: shape, Server: fmt.Sprintf(
				"websocket { listen: %q, tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true } }\n", secure, serverCert, serverKey, caFile)})
			own, others := ca.issue(t, "sensor-a", 3), ca.issue(t, "sensor-b", 4)
			sum := sha256.Sum256(own.Certificate[0])
			bound := func(cnf map[string]any) string {
				return c.Issuer.Mint(t, "RS256", c.Claims("sensor-a", oidctest.Claims{"cnf": cnf}))
			}
			mine := bound(map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])})
			dpop := bound(map[string]any{"jkt": base64.RawURLEncoding.EncodeToString(sum[:])})
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			over := func(certificate tls.Certificate) func(string, string) (*nats.Conn, error) {
				return func(name, token string) (*nats.Conn, error) {
					return nats.Connect("wss://"+secure, nats.Token(token), nats.Name(name), nats.Timeout(cluster.Patience),
						nats.Secure(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
				}
			}
			plain := func(name, token string) (*nats.Conn, error) { return c.Dial(nats.Token(token), nats.Name(name)) }
			for _, tt := range []struct {
				name    string
				connect func(name, token string) (*nats.Conn, error)
				token   string
				reason  string // empty is admitted
			}{
				{"its certificate", over(own), mine, ""},
				{"another certificate", over(others), mine, "certificate_mismatch"},
				{"no certificate", plain, mine, "certificate_mismatch"},
				{"bound to a DPoP key", over(own), dpop, "binding_unsupported"},
				{"not bound, with a certificate", over(others), c.Token(t, "sensor-a"), ""},
				{"its certificate again", over(own), mine, ""},
			} {
				name := strings.ReplaceAll(tt.name, " ", "-")
				nc, err := tt.connect(name, tt.token)
				for try := 0; errors.Is(err, nats.ErrTLS) && try < 10; try++ { // refused before the client had written all that it had to say
					nc, err = tt.connect(name, tt.token)
				}
				if (err == nil) != (tt.reason == "") || (err != nil && !errors.Is(err, nats.ErrAuthorization)) {
					t.Errorf("%s: %v", tt.name, err)
				}
				if err == nil {
					t.Cleanup(nc.Close)
				}
				records := c.Decided(t, name)
				if len(records) == 0 {
					t.Errorf("%s: no record", tt.name)
				}
				for _, r := range records {
					if r.Text(logx.Reason) != tt.reason {
						t.Errorf("%s: %v, want reason %q", tt.name, r, tt.reason)
					}
				}
			}
		})
	}
}
