package rules

import (
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// Decide returns the grant of the first rule whose condition holds. It fails with NoMatchingRule, RuleFailed,
// VariableUnresolved, VariableInvalid or GrantOutsideRule, and with BadRequest for claims that are no JSON object.
func (p *Policy) Decide(q *wire.DecideRequest) (*wire.Grant, *wire.Error) {
	claims, err := decodeClaims(q.Token.Claims)
	if err != nil {
		return nil, wire.Fail(wire.BadRequest, "claims", err)
	}
	input := conditionInput(q, claims)
	for _, r := range p.rules {
		holds, err := r.condition.holds(input)
		if err != nil {
			// A condition that fails must not hand the login to the next rule, which may give more.
			return nil, wire.Fail(wire.RuleFailed, "rule "+r.name, err)
		}
		if holds {
			return r.grant(claims)
		}
	}
	return nil, wire.Fail(wire.NoMatchingRule, "", nil)
}

// deviceVariable is the variable whose value is the device id in records and connection listings.
const deviceVariable = "device_id"

// grant fills in the rule's subjects.
func (r *rule) grant(claims map[string]any) (*wire.Grant, *wire.Error) {
	values := make(map[string]string, len(r.variables))
	for _, v := range r.variables {
		value, fail := v.resolve(claims)
		if fail != nil {
			return nil, fail
		}
		values[v.name] = value
	}
	g := &wire.Grant{
		Rule: r.name, Device: values[deviceVariable], Account: r.account,
		MaxSessionSeconds: int64(r.maxSession / time.Second),
	}
	if r.responses != nil {
		g.Responses = &wire.Responses{Max: r.responses.Max, TTLMillis: r.responses.TTL.Milliseconds()}
	}
	for _, part := range []struct {
		into *[]string
		from []*template
	}{
		{&g.Publish.Allow, r.publish.allow}, {&g.Publish.Deny, r.publish.deny},
		{&g.Subscribe.Allow, r.subscribe.allow}, {&g.Subscribe.Deny, r.subscribe.deny},
	} {
		for _, t := range part.from {
			subject, inside := t.expand(values)
			if !inside {
				return nil, wire.Fail(wire.GrantOutsideRule, "rule "+r.name, nil)
			}
			*part.into = append(*part.into, subject)
		}
	}
	return g, nil
}
