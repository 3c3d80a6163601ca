package rules

import (
	"bytes"
	"encoding/json"

	"harmony.internal/authcallout/shared/wire"
)

// decodeClaims reads a token's claims. Whole numbers stay whole: a double would round an id.
func decodeClaims(raw json.RawMessage) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var claims map[string]any
	if err := dec.Decode(&claims); err != nil {
		return nil, err
	}
	for name, v := range claims {
		claims[name] = numbers(v)
	}
	return claims, nil
}

// numbers replaces each json.Number by an int64 or, if it is none, a float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String() // out of range: as text it is equal to no number
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	}
	return v
}

// conditionInput is what a condition sees.
func conditionInput(q *wire.DecideRequest, claims map[string]any) map[string]any {
	roles := q.Token.Roles
	if roles == nil {
		roles = []string{}
	}
	return map[string]any{
		"claims": claims, "roles": roles, "issuer": q.Token.Issuer, "subject": q.Token.Subject, "client": clientInput(&q.Client),
	}
}

// clientInput has every member always, so that a condition need not ask.
func clientInput(c *wire.Client) map[string]any {
	tls := c.TLS
	if tls == nil {
		tls = &wire.ClientTLS{}
	}
	return map[string]any{
		"host": c.Host, "kind": c.Kind, "type": c.Type, "name": c.Name, "mqtt_client_id": c.MQTTClientID,
		"tls": map[string]any{
			"subject": tls.Subject, "dns": texts(tls.DNS), "uris": texts(tls.URIs), "emails": texts(tls.Emails), "sha256": tls.SHA256,
		},
	}
}

func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
