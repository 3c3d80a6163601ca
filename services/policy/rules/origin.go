package rules

import (
	"fmt"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// origin is one place that a variable may come from.
type origin struct {
	text string // as the file has it
	kind originKind
	name string // claim, field or attribute
}

type originKind uint8

const (
	fromClaim originKind = iota
	fromTLS
	fromRegistry
	fromMetadata
	fromClient // chosen by the client: proves nothing
)

var (
	tlsFields    = []string{"dns", "uri", "email", "sha256"}
	clientFields = []string{"client_name", "user", "mqtt_client_id"}
)

// registryDevice is the attribute that every registry entry has.
const registryDevice = "device_id"

func parseOrigin(text string) (origin, error) {
	o := origin{text: text, kind: fromClaim, name: text}
	prefix, name, _ := strings.Cut(text, ":")
	var fields []string
	switch prefix {
	case "tls":
		o.kind, o.name, fields = fromTLS, name, tlsFields
	case "untrusted":
		o.kind, o.name, fields = fromClient, name, clientFields
	case "registry":
		o.kind, o.name = fromRegistry, name
	case "metadata":
		o.kind, o.name = fromMetadata, name
	}
	switch {
	case o.name == "":
		return o, fmt.Errorf("%q names nothing", text)
	case fields != nil && !slices.Contains(fields, o.name):
		return o, fmt.Errorf("%q: after %s: comes one of %s", text, prefix, strings.Join(fields, ", "))
	}
	return o, nil
}

// value returns what stands at the origin; ok is false when nothing does.
func (o origin) value(f *facts) (value any, ok bool) {
	switch o.kind {
	case fromTLS:
		return certificateValue(f.request.Client.TLS, o.name)
	case fromClient:
		return textOrNone(clientValue(&f.request.Client, o.name))
	case fromRegistry:
		if f.device == nil {
			return nil, false
		}
		if o.name == registryDevice {
			return f.device.DeviceID, true
		}
		v, ok := f.device.Attributes[o.name]
		return v, ok
	case fromMetadata:
		v, ok := f.request.Token.Metadata[o.name]
		return v, ok
	default:
		return member(f.claims, o.name)
	}
}

func certificateValue(c *wire.ClientTLS, field string) (any, bool) {
	if c == nil {
		return nil, false
	}
	switch field {
	case "dns":
		return listOrOne(c.DNS)
	case "uri":
		return listOrOne(c.URIs)
	case "email":
		return listOrOne(c.Emails)
	default:
		return textOrNone(c.SHA256)
	}
}

func clientValue(c *wire.Client, field string) string {
	switch field {
	case "client_name":
		return c.Name
	case "user":
		return c.User
	default:
		return c.MQTTClientID
	}
}

func textOrNone(s string) (any, bool) { return s, s != "" }

// listOrOne returns the only element as text and several as a list.
func listOrOne(list []string) (any, bool) {
	switch len(list) {
	case 0:
		return nil, false
	case 1:
		return list[0], true
	}
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out, true
}

// member returns the claim called name or, where there is none, what the dots in name lead to.
func member(claims map[string]any, name string) (any, bool) {
	if v, ok := claims[name]; ok {
		return v, true
	}
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil, false
	}
	inner, ok := claims[first].(map[string]any)
	if !ok {
		return nil, false
	}
	return member(inner, rest)
}
