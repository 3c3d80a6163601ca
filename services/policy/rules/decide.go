package rules

import (
	"time"

	"harmony.internal/authcallout/shared/wire"
)

// Decide returns the grant of the first rule whose condition holds. It fails with NoMatchingRule, RuleFailed,
// VariableUnresolved, VariableInvalid, DeviceNotRegistered, GrantOutsideRule, SourceNotAllowed, ConnectionType,
// OutsideHours or MQTTClientID, and with BadRequest for claims that are no JSON object. A failure's Policy names the rule that
// decided, nil if none did.
func (p *Policy) Decide(q *wire.DecideRequest, c Context) (*wire.Grant, *wire.Error) {
	f, fail := p.newFacts(q, c)
	if fail != nil {
		return nil, fail
	}
	var grant *wire.Grant
	p.index.candidates(f, func(i int) bool {
		r := p.rules[i]
		holds, err := r.condition.holds(f)
		switch {
		case err != nil:
			// A condition that fails must not hand the login to the next rule, which may give more.
			fail = wire.Fail(wire.RuleFailed, "", err)
			fail.Policy = &wire.PolicyName{Rule: r.name}
		case holds:
			if grant, fail = r.grant(f, c); fail != nil {
				named := *fail // a variable's failure is shared by the rules that use it
				named.Policy = &wire.PolicyName{Rule: r.name}
				fail = &named
			}
		}
		return err == nil && !holds
	})
	if grant == nil && fail == nil {
		fail = wire.Fail(wire.NoMatchingRule, "", nil)
	}
	return grant, fail
}

// deviceVariable is the variable whose value is the device id in records and connection listings.
const deviceVariable = "device_id"

// grant fills in the rule's subjects.
func (r *rule) grant(f *facts, c Context) (*wire.Grant, *wire.Error) {
	session, fail := r.bounds.admit(&f.request.Client, c.Now)
	if fail != nil {
		return nil, fail
	}
	var buffer [4]binding
	values := bindings(buffer[:0])
	for _, v := range r.variables {
		got := f.value(v)
		if got.fail != nil {
			return nil, got.fail
		}
		values = append(values, binding{v.name, got.words})
	}
	g := &wire.Grant{Rule: r.name, Account: r.account, MaxSessionSeconds: int64(session / time.Second)}
	if id := values.of(deviceVariable); len(id) == 1 {
		g.Device = id[0]
	}
	if fail := r.bounds.admitMQTT(&f.request.Client, g.Device); fail != nil {
		return nil, fail
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
		if len(part.from) > 0 {
			*part.into = make([]string, 0, len(part.from))
		}
		for _, t := range part.from {
			var inside bool
			if *part.into, inside = t.expand(*part.into, values); !inside {
				return nil, wire.Fail(wire.GrantOutsideRule, "", nil)
			}
		}
	}
	return g, nil
}
