package wire

import (
	"strconv"

	"harmony.internal/authcallout/shared/strictjson"
)

// The append methods write what encoding/json writes for the tags in types.go, but for claims, which stand as they are.

func (m *CheckRequest) append(b []byte) []byte {
	b = append(b, '{')
	b = strictjson.AppendText(member(b, "token"), m.Token)
	b = appendText(b, "cert_sha256", m.CertificateSHA256)
	if m.Client != nil {
		b = m.Client.append(member(b, "client"))
	}
	return append(b, '}')
}

func (m *Verified) append(b []byte) []byte {
	b = append(b, '{')
	b = strictjson.AppendText(member(b, "issuer"), m.Issuer)
	b = strictjson.AppendText(member(b, "subject"), m.Subject)
	b = strconv.AppendInt(member(b, "expires_at"), m.ExpiresAt, 10)
	b = appendInt(b, "issued_at", m.IssuedAt)
	b = appendText(b, "kid", m.KeyID)
	b = appendText(b, "alg", m.Algorithm)
	b = appendText(b, "token_id", m.TokenID)
	b = appendTexts(b, "roles", m.Roles)
	if len(m.Metadata) > 0 {
		b = strictjson.AppendTextMap(member(b, "metadata"), m.Metadata)
	}
	if len(m.Claims) > 0 {
		b = append(member(b, "claims"), m.Claims...)
	}
	b = appendText(b, "key_set", m.KeySet)
	if m.Grant != nil {
		b = m.Grant.append(member(b, "grant"))
	}
	b = appendInt(b, "check_us", m.CheckMicros)
	b = appendText(b, "client_digest", m.ClientDigest)
	return append(b, '}')
}

func (m *DecideRequest) append(b []byte) []byte {
	b = append(b, '{')
	b = m.Token.append(member(b, "token"))
	return appendRest(b, &m.Client, m.HandedOn)
}

// EncodeHandedOn returns a DecideRequest whose Token is the encoded Verified, as it stands.
func EncodeHandedOn(verified []byte, c *Client, h *HandedOn) []byte {
	b := make([]byte, 0, len(verified)+1024)
	b = append(b, '{')
	b = append(member(b, "token"), verified...)
	return appendRest(b, c, h)
}

// appendRest ends a DecideRequest after its Token.
func appendRest(b []byte, c *Client, h *HandedOn) []byte {
	b = c.append(member(b, "client"))
	if h != nil {
		b = append(member(b, "handed_on"), '{')
		b = appendInt(b, "check_us", h.CheckMicros)
		b = append(b, '}')
	}
	return append(b, '}')
}

func (m *Client) append(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "host", m.Host)
	b = appendUint(b, "id", m.ID)
	b = appendText(b, "kind", m.Kind)
	b = appendText(b, "type", m.Type)
	b = appendText(b, "name", m.Name)
	b = appendText(b, "user", m.User)
	b = appendText(b, "mqtt_client_id", m.MQTTClientID)
	if m.TLS != nil {
		b = m.TLS.append(member(b, "tls"))
	}
	b = appendText(b, "server_id", m.ServerID)
	b = appendText(b, "server_name", m.ServerName)
	return append(b, '}')
}

func (m *ClientTLS) append(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "subject", m.Subject)
	b = appendTexts(b, "dns", m.DNS)
	b = appendTexts(b, "uris", m.URIs)
	b = appendTexts(b, "emails", m.Emails)
	b = appendText(b, "sha256", m.SHA256)
	return append(b, '}')
}

func (m *Grant) append(b []byte) []byte {
	b = append(b, '{')
	b = strictjson.AppendText(member(b, "rule"), m.Rule)
	b = appendText(b, "device", m.Device)
	b = appendText(b, "account", m.Account)
	b = m.Publish.append(member(b, "publish"))
	b = m.Subscribe.append(member(b, "subscribe"))
	if r := m.Responses; r != nil {
		b = append(member(b, "responses"), '{')
		b = strconv.AppendInt(member(b, "max"), int64(r.Max), 10)
		b = strconv.AppendInt(member(b, "ttl_ms"), r.TTLMillis, 10)
		b = append(b, '}')
	}
	b = appendInt(b, "max_session_s", m.MaxSessionSeconds)
	b = appendUint(b, "policy_generation", m.PolicyGeneration)
	b = appendText(b, "policy_hash", m.PolicyHash)
	return append(b, '}')
}

func (m *Permissions) append(b []byte) []byte {
	b = append(b, '{')
	b = appendTexts(b, "allow", m.Allow)
	b = appendTexts(b, "deny", m.Deny)
	return append(b, '}')
}

func (m *Error) append(b []byte) []byte {
	b = append(b, '{')
	b = strconv.AppendInt(member(b, "code"), int64(m.Code), 10)
	b = strictjson.AppendText(member(b, "reason"), m.Reason)
	b = appendText(b, "detail", m.Detail)
	if t := m.Token; t != nil {
		b = append(member(b, "token"), '{')
		b = strictjson.AppendText(member(b, "check"), t.Check)
		b = appendText(b, "issuer", t.Issuer)
		b = appendText(b, "kid", t.KeyID)
		b = append(b, '}')
	}
	if p := m.Policy; p != nil {
		b = append(member(b, "policy"), '{')
		b = appendText(b, "rule", p.Rule)
		b = appendText(b, "device", p.Device)
		b = appendUint(b, "generation", p.Generation)
		b = appendText(b, "hash", p.Hash)
		b = append(b, '}')
	}
	if m.Verified != nil {
		b = m.Verified.append(member(b, "verified"))
	}
	return append(b, '}')
}

// member begins a member of the object that b ends in.
func member(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(b, '"'), name...)
	return append(b, '"', ':')
}

func appendText(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return strictjson.AppendText(member(b, name), s)
}

func appendTexts(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	return strictjson.AppendTexts(member(b, name), list)
}

func appendInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(member(b, name), n, 10)
}

func appendUint(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(member(b, name), n, 10)
}
