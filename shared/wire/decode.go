package wire

import (
	"strconv"

	"harmony.internal/authcallout/shared/strictjson"
)

// Members of each object, as types.go tags them. encoding/json would take one in another case for them; a
// strictjson.Object refuses it.
var (
	checkRequestMembers  = []string{"token", "cert_sha256", "client"}
	verifiedMembers      = []string{"issuer", "subject", "expires_at", "issued_at", "kid", "alg", "token_id", "roles", "metadata", "claims", "key_set", "grant", "check_us", "client_digest"}
	decideRequestMembers = []string{"token", "client", "handed_on"}
	handedOnMembers      = []string{"check_us"}
	clientMembers        = []string{"host", "id", "kind", "type", "name", "user", "mqtt_client_id", "tls", "server_id", "server_name"}
	clientTLSMembers     = []string{"subject", "dns", "uris", "emails", "sha256"}
	grantMembers         = []string{"rule", "device", "account", "publish", "subscribe", "responses", "max_session_s", "policy_generation", "policy_hash"}
	permissionsMembers   = []string{"allow", "deny"}
	responsesMembers     = []string{"max", "ttl_ms"}
	errorMembers         = []string{"code", "reason", "detail", "token", "policy", "verified"}
	tokenNameMembers     = []string{"check", "issuer", "kid"}
	policyNameMembers    = []string{"rule", "device", "generation", "hash"}
)

func (m *CheckRequest) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: checkRequestMembers}
	for r.Member(&o) {
		switch o.Name {
		case "token":
			m.Token = r.Text()
		case "cert_sha256":
			m.CertificateSHA256 = r.Text()
		case "client":
			if !r.Null() {
				m.Client = &Client{}
				m.Client.read(r)
			}
		default:
			r.Skip()
		}
	}
}

func (m *Verified) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: verifiedMembers}
	for r.Member(&o) {
		switch o.Name {
		case "issuer":
			m.Issuer = r.Text()
		case "subject":
			m.Subject = r.Text()
		case "expires_at":
			m.ExpiresAt = r.Int(64)
		case "issued_at":
			m.IssuedAt = r.Int(64)
		case "kid":
			m.KeyID = r.Text()
		case "alg":
			m.Algorithm = r.Text()
		case "token_id":
			m.TokenID = r.Text()
		case "roles":
			m.Roles = r.Texts()
		case "metadata":
			m.Metadata = r.TextMap()
		case "claims":
			m.Claims = r.Raw()
		case "key_set":
			m.KeySet = r.Text()
		case "grant":
			if !r.Null() {
				m.Grant = &Grant{}
				m.Grant.read(r)
			}
		case "check_us":
			m.CheckMicros = r.Int(64)
		case "client_digest":
			m.ClientDigest = r.Text()
		default:
			r.Skip()
		}
	}
}

func (m *DecideRequest) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: decideRequestMembers}
	for r.Member(&o) {
		switch o.Name {
		case "token":
			m.Token.read(r)
		case "client":
			m.Client.read(r)
		case "handed_on":
			if !r.Null() {
				m.HandedOn = &HandedOn{}
				m.HandedOn.read(r)
			}
		default:
			r.Skip()
		}
	}
}

func (m *HandedOn) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: handedOnMembers}
	for r.Member(&o) {
		switch o.Name {
		case "check_us":
			m.CheckMicros = r.Int(64)
		default:
			r.Skip()
		}
	}
}

func (m *Client) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: clientMembers}
	for r.Member(&o) {
		switch o.Name {
		case "host":
			m.Host = r.Text()
		case "id":
			m.ID = r.Uint()
		case "kind":
			m.Kind = r.Text()
		case "type":
			m.Type = r.Text()
		case "name":
			m.Name = r.Text()
		case "user":
			m.User = r.Text()
		case "mqtt_client_id":
			m.MQTTClientID = r.Text()
		case "tls":
			if !r.Null() {
				m.TLS = &ClientTLS{}
				m.TLS.read(r)
			}
		case "server_id":
			m.ServerID = r.Text()
		case "server_name":
			m.ServerName = r.Text()
		default:
			r.Skip()
		}
	}
}

func (m *ClientTLS) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: clientTLSMembers}
	for r.Member(&o) {
		switch o.Name {
		case "subject":
			m.Subject = r.Text()
		case "dns":
			m.DNS = r.Texts()
		case "uris":
			m.URIs = r.Texts()
		case "emails":
			m.Emails = r.Texts()
		case "sha256":
			m.SHA256 = r.Text()
		default:
			r.Skip()
		}
	}
}

func (m *Grant) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: grantMembers}
	for r.Member(&o) {
		switch o.Name {
		case "rule":
			m.Rule = r.Text()
		case "device":
			m.Device = r.Text()
		case "account":
			m.Account = r.Text()
		case "publish":
			m.Publish.read(r)
		case "subscribe":
			m.Subscribe.read(r)
		case "responses":
			if !r.Null() {
				m.Responses = &Responses{}
				m.Responses.read(r)
			}
		case "max_session_s":
			m.MaxSessionSeconds = r.Int(64)
		case "policy_generation":
			m.PolicyGeneration = r.Uint()
		case "policy_hash":
			m.PolicyHash = r.Text()
		default:
			r.Skip()
		}
	}
}

func (m *Permissions) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: permissionsMembers}
	for r.Member(&o) {
		switch o.Name {
		case "allow":
			m.Allow = r.Texts()
		case "deny":
			m.Deny = r.Texts()
		default:
			r.Skip()
		}
	}
}

func (m *Responses) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: responsesMembers}
	for r.Member(&o) {
		switch o.Name {
		case "max":
			m.Max = int(r.Int(strconv.IntSize))
		case "ttl_ms":
			m.TTLMillis = r.Int(64)
		default:
			r.Skip()
		}
	}
}

func (m *Error) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: errorMembers}
	for r.Member(&o) {
		switch o.Name {
		case "code":
			m.Code = Code(r.Int(strconv.IntSize))
		case "reason":
			m.Reason = r.Text()
		case "detail":
			m.Detail = r.Text()
		case "token":
			if !r.Null() {
				m.Token = &TokenName{}
				m.Token.read(r)
			}
		case "policy":
			if !r.Null() {
				m.Policy = &PolicyName{}
				m.Policy.read(r)
			}
		case "verified":
			if !r.Null() {
				m.Verified = &Verified{}
				m.Verified.read(r)
			}
		default:
			r.Skip()
		}
	}
}

func (m *PolicyName) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: policyNameMembers}
	for r.Member(&o) {
		switch o.Name {
		case "rule":
			m.Rule = r.Text()
		case "device":
			m.Device = r.Text()
		case "generation":
			m.Generation = r.Uint()
		case "hash":
			m.Hash = r.Text()
		default:
			r.Skip()
		}
	}
}

func (m *TokenName) read(r *strictjson.Reader) {
	o := strictjson.Object{Names: tokenNameMembers}
	for r.Member(&o) {
		switch o.Name {
		case "check":
			m.Check = r.Text()
		case "issuer":
			m.Issuer = r.Text()
		case "kid":
			m.KeyID = r.Text()
		default:
			r.Skip()
		}
	}
}
