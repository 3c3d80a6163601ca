package deployment

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"harmony.internal/authcallout/shared/config"
)

// TLS names a certificate and its key, PEM. Both or none.
type TLS struct {
	// CertFile holds the certificate, and after it those between it and its root, if there are any.
	CertFile config.Path `yaml:"cert_file"`
	// KeyFile is its key.
	KeyFile config.Path `yaml:"key_file"`
}

// Certificate is what the servers show to devices, and to the services.
type Certificate struct {
	// Name is one that it is valid for.
	Name string
	leaf *x509.Certificate
}

// renewBefore is how long before a certificate's end every command that reads deployment.yaml warns.
const renewBefore = 30 * 24 * time.Hour

func (t TLS) check(r *config.Report) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		r.Errorf("tls", "cert_file and key_file go together")
		return
	}
	c, err := t.certificate()
	switch {
	case err != nil:
		r.Errorf("tls", "%v", err)
	case c == nil:
	case time.Now().After(c.leaf.NotAfter):
		r.Errorf("tls.cert_file", "the certificate ended on %s", c.leaf.NotAfter.Format(time.DateOnly))
	case time.Until(c.leaf.NotAfter) < renewBefore:
		r.Warnf("tls.cert_file", "the certificate ends on %s: replace the file and run make upgrade", c.leaf.NotAfter.Format(time.DateOnly))
	}
}

// certificate reads it; nil without one.
func (t TLS) certificate() (*Certificate, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(string(t.CertFile), string(t.KeyFile))
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	c := &Certificate{leaf: leaf}
	switch {
	case len(leaf.DNSNames) > 0:
		c.Name = strings.Replace(leaf.DNSNames[0], "*", "nats", 1)
	case len(leaf.IPAddresses) > 0:
		c.Name = leaf.IPAddresses[0].String()
	default:
		return nil, fmt.Errorf("%s names no host: it needs a subject alternative name", t.CertFile)
	}
	return c, nil
}

// client is how this host and the services check it: it must be this very certificate, whoever signed it.
func (c *Certificate) client() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(c.leaf)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: c.Name}
}

// hostFor is the host by which the certificate can be checked, of a server on this one that listens at ip.
func (c *Certificate) hostFor(ip string) string {
	if c.leaf.VerifyHostname(ip) == nil {
		return ip
	}
	return c.Name
}
