package rules

import (
	"errors"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"harmony.internal/authcallout/shared/wire"
)

// Device is what a registry knows of one identity.
type Device struct {
	DeviceID   string            `json:"device_id"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Context is what a decision needs besides the request.
type Context struct {
	Now time.Time
	// Device is the identity's registry entry, nil when there is none.
	Device *Device
}

// facts is one decision's input, with the variables that were resolved so far. It is the activation of its conditions.
// Not safe for concurrent use.
type facts struct {
	policy  *Policy
	request *wire.DecideRequest
	claims  map[string]any
	device  *Device
	values  []value // by the variables' numbers
	roles   ref.Val
	client  map[string]any
	vars    map[string]any
}

var _ interpreter.Activation = (*facts)(nil)

func (p *Policy) newFacts(q *wire.DecideRequest, c Context) (*facts, *wire.Error) {
	if len(q.Token.Claims) > wire.MaxClaimsBytes {
		return nil, wire.Fail(wire.BadRequest, "claims", errors.New("too large"))
	}
	claims, err := p.claims.decode(q.Token.Claims)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "claims", err)
	}
	return &facts{policy: p, request: q, claims: claims, device: c.Device, values: make([]value, len(p.variables))}, nil
}

// value resolves a variable once.
func (f *facts) value(v *variable) value {
	got := &f.values[v.number]
	if !got.known {
		*got = v.resolve(f)
		got.known = true
	}
	return *got
}

// ResolveName implements interpreter.Activation: what a condition sees.
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return f.claims, true
	case "roles":
		if f.roles == nil {
			f.roles = types.NewStringList(types.DefaultTypeAdapter, f.request.Token.Roles)
		}
		return f.roles, true
	case "metadata":
		return metadataInput(f.request.Token.Metadata), true
	case "issuer":
		return f.request.Token.Issuer, true
	case "subject":
		return f.request.Token.Subject, true
	case "client":
		if f.client == nil {
			f.client = clientInput(&f.request.Client)
		}
		return f.client, true
	case "vars":
		if f.vars == nil {
			f.vars = f.varsInput()
		}
		return f.vars, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (*facts) Parent() interpreter.Activation { return nil }

// varsInput has the variables that conditions ask for and that have a value. A bad value is an error where it is used.
func (f *facts) varsInput() map[string]any {
	vars := make(map[string]any, len(f.policy.asked))
	for _, v := range f.policy.asked {
		got := f.value(v)
		switch {
		case got.fail == nil && v.list:
			vars[v.name] = got.words
		case got.fail == nil:
			vars[v.name] = got.words[0]
		case got.origin != "":
			vars[v.name] = types.WrapErr(got.fail)
		}
	}
	return vars
}

// clientMembers are the members of client, which has all of them always, so that a condition need not ask.
var clientMembers = []string{"host", "kind", "type", "name", "user", "mqtt_client_id", "server_name", "tls"}

// chosenByClient are those of them that prove nothing.
var chosenByClient = []string{"name", "user", "mqtt_client_id"}

func clientInput(c *wire.Client) map[string]any {
	tls := c.TLS
	if tls == nil {
		tls = &wire.ClientTLS{}
	}
	return map[string]any{
		"host": c.Host, "kind": c.Kind, "type": c.Type, "name": c.Name, "user": c.User, "mqtt_client_id": c.MQTTClientID, "server_name": c.ServerName,
		"tls": map[string]any{
			"subject": tls.Subject, "dns": texts(tls.DNS), "uris": texts(tls.URIs), "emails": texts(tls.Emails), "sha256": tls.SHA256,
		},
	}
}

func metadataInput(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}

func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
