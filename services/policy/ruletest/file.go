package ruletest

import (
	"encoding/json"
	"fmt"
	"time"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/wire"
)

// File is a file of tests.
type File struct {
	// Tests are run in this order, each by itself. At least one.
	Tests []Test `yaml:"tests"`
}

// Test is one token, one connection, and what they must get.
type Test struct {
	// Name says what is tested. Required.
	Name string `yaml:"name"`
	// Token is what tokencheck verified.
	Token Token `yaml:"token"`
	// Client is the connection.
	Client Client `yaml:"client"`
	// Registry is the identity's entry in the device registry. Default: none.
	Registry *Registered `yaml:"registry"`
	// At is the time of the login, as 2026-11-24T12:00:00Z. Default: now.
	At string `yaml:"at"`
	// Expect is what must come out.
	Expect Expect `yaml:"expect"`
}

// Token is a verified token.
type Token struct {
	// Issuer is its iss. Default https://issuer.example.com.
	Issuer string `yaml:"issuer"`
	// Subject is its sub. Default: the claim sub, or subject.
	Subject string `yaml:"subject"`
	// Roles are its roles, as tokencheck reads them from roles_claim.
	Roles []string `yaml:"roles"`
	// Metadata are the user's metadata, decoded.
	Metadata map[string]string `yaml:"metadata"`
	// Claims are all its claims.
	Claims map[string]any `yaml:"claims"`
}

// Client is a connection.
type Client struct {
	// Host is the client's address.
	Host string `yaml:"host"`
	// Type is nats, mqtt, websocket or leafnode. Default nats.
	Type string `yaml:"type"`
	// Name, User and MQTTClientID are what the client chose.
	Name string `yaml:"name"`
	// User is the user name that the client sent.
	User string `yaml:"user"`
	// MQTTClientID is the client id of an MQTT client.
	MQTTClientID string `yaml:"mqtt_client_id"`
	// DNS, URIs and Emails are of the certificate that the server verified.
	DNS []string `yaml:"tls_dns"`
	// URIs of the certificate.
	URIs []string `yaml:"tls_uris"`
	// Emails of the certificate.
	Emails []string `yaml:"tls_emails"`
}

// Registered is a registry entry.
type Registered struct {
	// DeviceID is the registered device id.
	DeviceID string `yaml:"device_id"`
	// Attributes are its other values.
	Attributes map[string]string `yaml:"attributes"`
}

// Expect is an outcome. What is not set is not looked at.
type Expect struct {
	// Reason is the machine name of the refusal, as no_matching_rule. With it nothing else is looked at. Default: admitted.
	Reason string `yaml:"reason"`
	// Rule is the rule that matches.
	Rule string `yaml:"rule"`
	// Account is the grant's account.
	Account string `yaml:"account"`
	// Device is the device id.
	Device string `yaml:"device"`
	// MaxSession is the grant's bound of the session.
	MaxSession time.Duration `yaml:"max_session"`
	// Publish are subjects that the device must be allowed to publish.
	Publish []string `yaml:"publish"`
	// NotPublish are subjects that the device must not be allowed to publish.
	NotPublish []string `yaml:"not_publish"`
	// Subscribe are subjects that the device must be allowed to subscribe to.
	Subscribe []string `yaml:"subscribe"`
	// NotSubscribe are subjects that the device must not be allowed to subscribe to.
	NotSubscribe []string `yaml:"not_subscribe"`
}

// SetDefaults fills what is zero.
func (f *File) SetDefaults() {
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Token.Issuer == "" {
			t.Token.Issuer = "https://issuer.example.com"
		}
		if sub, ok := t.Token.Claims["sub"].(string); ok && t.Token.Subject == "" {
			t.Token.Subject = sub
		}
		if t.Token.Subject == "" {
			t.Token.Subject = "subject"
		}
		if t.Client.Type == "" {
			t.Client.Type = "nats"
		}
	}
}

// Check reports what is wrong with the file.
func (f *File) Check(r *config.Report) {
	if len(f.Tests) == 0 {
		r.Errorf("tests", "at least one is required")
	}
	for i := range f.Tests {
		t, key := &f.Tests[i], fmt.Sprintf("tests[%d]", i)
		if t.Name == "" {
			r.Errorf(key+".name", "is required")
		}
		if _, _, err := t.request(); err != nil {
			r.Errorf(key, "%v", err)
		}
		if e := t.Expect; e.Reason == "" && e.Rule == "" {
			r.Errorf(key+".expect", "rule or reason is required")
		}
		if !known(t.Expect.Reason) {
			r.Errorf(key+".expect.reason", "%q is no reason", t.Expect.Reason)
		}
	}
}

func known(reason string) bool {
	for _, r := range wire.Reasons() {
		if r.Name == reason {
			return true
		}
	}
	return reason == ""
}

// request is the test's input for a decision.
func (t *Test) request() (*wire.DecideRequest, rules.Context, error) {
	c := rules.Context{Now: time.Now()}
	if t.At != "" {
		at, err := time.Parse(time.RFC3339, t.At)
		if err != nil {
			return nil, c, fmt.Errorf("at: must be as 2026-11-24T12:00:00Z")
		}
		c.Now = at
	}
	if t.Registry != nil {
		c.Device = &rules.Device{DeviceID: t.Registry.DeviceID, Attributes: t.Registry.Attributes}
	}
	if t.Token.Claims == nil {
		t.Token.Claims = map[string]any{}
	}
	claims, err := json.Marshal(t.Token.Claims)
	if err != nil {
		return nil, c, fmt.Errorf("claims: %w", err)
	}
	q := &wire.DecideRequest{
		Token:  wire.Verified{Issuer: t.Token.Issuer, Subject: t.Token.Subject, Roles: t.Token.Roles, Metadata: t.Token.Metadata, Claims: claims},
		Client: wire.Client{Host: t.Client.Host, Kind: "Client", Type: t.Client.Type, Name: t.Client.Name, User: t.Client.User, MQTTClientID: t.Client.MQTTClientID},
	}
	if t.Client.Type == "leafnode" { // as nats-server says it
		q.Client.Kind, q.Client.Type = "Leafnode", ""
	}
	if len(t.Client.DNS)+len(t.Client.URIs)+len(t.Client.Emails) > 0 {
		q.Client.TLS = &wire.ClientTLS{DNS: t.Client.DNS, URIs: t.Client.URIs, Emails: t.Client.Emails}
	}
	return q, c, nil
}
