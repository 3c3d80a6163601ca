package tokencheck

import (
	"encoding/json"
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

const (
	maxRoles     = 256
	maxRoleBytes = 256
)

// roles returns the names at an issuer's roles_claim, sorted and each once. A token without the claim has none.
func (c *claims) roles(claim string) ([]string, *wire.Error) {
	raw := member(c.all, claim)
	if claim == "" || raw == nil {
		return nil, nil
	}
	var names []string
	ok := true
	switch raw[0] {
	case 'n': // null
	case '{':
		names, ok = memberNames(raw)
	default:
		names, ok = texts(raw)
	}
	if !ok {
		return nil, wire.Fail(wire.ClaimInvalid, "roles_claim is neither a list of names nor an object", nil)
	}
	if len(names) > maxRoles || slices.ContainsFunc(names, func(n string) bool { return n == "" || len(n) > maxRoleBytes }) {
		return nil, wire.Fail(wire.ClaimInvalid, "roles: too many, or a name that is empty or too long", nil)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// memberNames returns the names of an object's members.
func memberNames(raw json.RawMessage) ([]string, bool) {
	var names []string
	r := strictjson.NewReader(raw, claimLimits)
	for o := (strictjson.Object{}); r.Member(&o); r.Skip() {
		names = append(names, o.Name)
	}
	return names, r.End() == nil
}

// member returns the member called name or, where there is none, what the dots in name lead to.
func member(object map[string]json.RawMessage, name string) json.RawMessage {
	if raw, ok := object[name]; ok {
		return raw
	}
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	var inner map[string]json.RawMessage
	if raw, ok := object[first]; !ok || json.Unmarshal(raw, &inner) != nil {
		return nil
	}
	return member(inner, rest)
}
