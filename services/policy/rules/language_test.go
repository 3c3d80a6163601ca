package rules_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/wire"
)

func ask(claims string, edit ...func(*wire.DecideRequest)) *wire.DecideRequest {
	q := request(claims)
	for _, e := range edit {
		e(q)
	}
	return q
}

func metadata(name, value string) func(*wire.DecideRequest) {
	return func(q *wire.DecideRequest) { q.Token.Metadata = map[string]string{name: value} }
}

func certificate(dns ...string) func(*wire.DecideRequest) {
	return func(q *wire.DecideRequest) { q.Client.TLS = &wire.ClientTLS{DNS: dns} }
}

func TestVariables(t *testing.T) {
	device := &rules.Device{DeviceID: "reg-1", Attributes: map[string]string{"site": "berlin"}}
	for _, tt := range []struct {
		name, variable string
		request        *wire.DecideRequest
		device         *rules.Device
		want           string
		fail           wire.Code
	}{
		{"claim", `{from: [sub]}`, ask(`{"sub":"7"}`), nil, "7", 0},
		{"second claim", `{from: [a, b]}`, ask(`{"b":"x"}`), nil, "x", 0},
		{"a bad first is not passed over", `{from: [a, b]}`, ask(`{"a":"*","b":"x"}`), nil, "", wire.VariableInvalid},
		{"inside an object", `{from: [a.b]}`, ask(`{"a":{"b":"x"}}`), nil, "x", 0},
		{"Zitadel's metadata", `{from: ["urn:zitadel:iam:user:metadata.device_id"], base64url: true}`, ask(`{"urn:zitadel:iam:user:metadata":{"device_id":"c2Vuc29yLWE"}}`), nil, "sensor-a", 0},
		{"metadata", `{from: ["metadata:site"]}`, ask(`{}`, metadata("site", "berlin")), nil, "berlin", 0},
		{"metadata that is no token", `{from: ["metadata:site"]}`, ask(`{}`, metadata("site", "a.>")), nil, "", wire.VariableInvalid},
		{"metadata that is not there", `{from: ["metadata:site"]}`, ask(`{}`, metadata("floor", "1")), nil, "", wire.VariableUnresolved},
		{"decoded, then judged", `{from: [a], base64url: true}`, ask(`{"a":"YS4-"}`), nil, "", wire.VariableInvalid},
		{"not base64url", `{from: [a], base64url: true}`, ask(`{"a":"%%"}`), nil, "", wire.VariableInvalid},
		{"prefix and case", `{from: [a], strip_prefix: "dev:", lower: true}`, ask(`{"a":"dev:ABC"}`), nil, "abc", 0},
		{"case is not lowered into another's", `{from: [a], lower: true}`, ask("{\"a\":\"sensor-\u212a1\"}"), nil, "", wire.VariableInvalid},
		{"a capital whose small form is another's", `{from: [a], lower: true}`, ask("{\"a\":\"\u0130\"}"), nil, "", wire.VariableInvalid},
		{"letters beyond ASCII", `{from: [a], lower: true}`, ask(`{"a":"Ärger-ẞ"}`), nil, "ärger-ß", 0},
		{"number", `{from: [a]}`, ask(`{"a":7}`), nil, "", wire.VariableUnresolved},
		{"list with a number that is out of range", `{from: [a], list: true}`, ask(`{"a":["x",1e999]}`), nil, "", wire.VariableUnresolved},
		{"number that is out of range", `{from: [a]}`, ask(`{"a":1e999}`), nil, "", wire.VariableUnresolved},
		{"nothing but the prefix", `{from: [a], strip_prefix: "dev:"}`, ask(`{"a":"dev:"}`), nil, "", wire.VariableInvalid},
		{"pattern", `{from: [a], pattern: "[a-z]+"}`, ask(`{"a":"abc"}`), nil, "abc", 0},
		{"pattern is anchored", `{from: [a], pattern: "[a-z]+|x"}`, ask(`{"a":"abc1"}`), nil, "", wire.VariableInvalid},
		{"too long for it", `{from: [a], max_length: 2}`, ask(`{"a":"abc"}`), nil, "", wire.VariableInvalid},
		{"certificate", `{from: ["tls:dns"]}`, ask(`{}`, certificate("host-1")), nil, "host-1", 0},
		{"two names in the certificate", `{from: ["tls:dns"]}`, ask(`{}`, certificate("a", "b")), nil, "", wire.VariableUnresolved},
		{"no certificate", `{from: ["tls:dns"]}`, ask(`{}`), nil, "", wire.VariableUnresolved},
		{"registry", `{from: ["registry:device_id"]}`, ask(`{}`), device, "reg-1", 0},
		{"registry before a claim", `{from: ["registry:device_id", sub]}`, ask(`{"sub":"7"}`), device, "reg-1", 0},
		{"claim for who is not registered", `{from: ["registry:device_id", sub]}`, ask(`{"sub":"7"}`), nil, "7", 0},
		{"attribute", `{from: ["registry:site"]}`, ask(`{}`), device, "berlin", 0},
		{"attribute that is not there", `{from: ["registry:floor"]}`, ask(`{}`), device, "", wire.VariableUnresolved},
		{"not registered", `{from: ["registry:device_id"]}`, ask(`{}`), nil, "", wire.DeviceNotRegistered},
		{"chosen by the client", `{from: ["untrusted:mqtt_client_id"]}`, ask(`{}`, func(q *wire.DecideRequest) { q.Client.MQTTClientID = "m" }), nil, "m", 0},
		{"list", `{from: [a], list: true}`, ask(`{"a":["x","y"]}`), nil, "x,y", 0},
		{"list with a wildcard in it", `{from: [a], list: true}`, ask(`{"a":["x",">"]}`), nil, "", wire.VariableInvalid},
		{"list that is too long", `{from: [a], list: true, max_items: 1}`, ask(`{"a":["x","y"]}`), nil, "", wire.VariableInvalid},
		{"list that is empty", `{from: [a], list: true}`, ask(`{"a":[]}`), nil, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, "variables: {v: "+tt.variable+"}\nrules: [{name: r, when: 'true', publish: {allow: ['a.{v}']}, subscribe: {}}]\n")
			g, fail := p.Decide(tt.request, rules.Context{Device: tt.device})
			if code(fail) != tt.fail {
				t.Fatalf("got %v, want %v", fail, tt.fail)
			}
			if fail == nil {
				if got := strings.ReplaceAll(strings.Join(g.Publish.Allow, ","), "a.", ""); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestVariablesInConditions(t *testing.T) {
	const text = `
variables:
  site: { from: [site] }
  groups: { from: [groups], list: true }
rules:
  - { name: berlin, when: 'has(vars.site) && vars.site == "berlin"', publish: {allow: ["s.{site}"]}, subscribe: {} }
  - { name: ops, when: '"ops" in vars.groups', publish: {allow: ["g.{groups}"]}, subscribe: {} }
`
	p := mustCompile(t, text)
	for claims, want := range map[string]any{
		`{"site":"berlin"}`:                     "berlin",
		`{"site":"paris","groups":["ops","x"]}`: "ops",
		`{"groups":["dev"]}`:                    wire.NoMatchingRule,
		`{"site":"paris"}`:                      wire.RuleFailed, // vars.groups has no value
		`{"site":"*"}`:                          wire.RuleFailed, // a bad value is not the same as none
	} {
		g, fail := p.Decide(request(claims), rules.Context{})
		switch want := want.(type) {
		case string:
			if fail != nil || g.Rule != want {
				t.Errorf("%s: %+v %v, want rule %s", claims, g, fail, want)
			}
		case wire.Code:
			if code(fail) != want {
				t.Errorf("%s: %v, want %v", claims, fail, want)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	const text = `
rules:
  - name: shop
    when: 'true'
    publish: {allow: [a]}
    subscribe: {}
    source_networks: [10.1.0.0/16, 192.0.2.7, "2001:db8::/32"]
    connection_types: [nats, mqtt]
    mqtt_client_id: any
    hours: {from: "22:00", to: "06:00", days: [fri], time_zone: Europe/Berlin}
    max_session: 2h
`
	p := mustCompile(t, text)
	friday := time.Date(2026, 11, 27, 22, 30, 0, 0, time.FixedZone("CET", 3600))
	for _, tt := range []struct {
		name, host, kind string
		at               time.Time
		want             wire.Code
		session          int64
	}{
		{"admitted", "10.1.2.3", "nats", friday, 0, 7200},
		{"IPv4 in IPv6", "::ffff:10.1.2.3", "nats", friday, 0, 7200},
		{"IPv6", "2001:db8::1", "mqtt", friday, 0, 7200},
		{"one address", "192.0.2.7", "nats", friday, 0, 7200},
		{"another network", "10.2.0.1", "nats", friday, wire.SourceNotAllowed, 0},
		{"no address", "host", "nats", friday, wire.SourceNotAllowed, 0},
		{"another type", "10.1.2.3", "websocket", friday, wire.ConnectionType, 0},
		{"past midnight, until the end", "10.1.2.3", "nats", friday.Add(6 * time.Hour), 0, 5400},
		{"after the end", "10.1.2.3", "nats", friday.Add(8 * time.Hour), wire.OutsideHours, 0},
		{"before the beginning", "10.1.2.3", "nats", friday.Add(-time.Hour), wire.OutsideHours, 0},
		{"another day", "10.1.2.3", "nats", friday.Add(24 * time.Hour), wire.OutsideHours, 0},
	} {
		q := ask(`{}`, func(q *wire.DecideRequest) { q.Client.Host, q.Client.Type = tt.host, tt.kind })
		g, fail := p.Decide(q, rules.Context{Now: tt.at})
		if code(fail) != tt.want || (fail == nil && g.MaxSessionSeconds != tt.session) {
			t.Errorf("%s: %+v %v, want %v and %d s", tt.name, g, fail, tt.want, tt.session)
		}
	}
}

// TestLeafNode: a device's token does not let a whole server in, unless the rule says so.
func TestLeafNode(t *testing.T) {
	for _, tt := range []struct {
		types, kind, client string
		want                wire.Code
	}{
		{"", "Client", "nats", 0},
		{"", "Leafnode", "", wire.ConnectionType},
		{"", "Leafnode", "nats", wire.ConnectionType},
		{"", "Router", "nats", wire.ConnectionType},
		{"connection_types: [nats, mqtt, websocket]", "Leafnode", "nats", wire.ConnectionType},
		{"connection_types: [leafnode]", "Leafnode", "", 0},
		{"connection_types: [leafnode]", "Client", "nats", wire.ConnectionType},
		{"connection_types: [leafnode, nats]", "Router", "nats", wire.ConnectionType},
	} {
		p := mustCompile(t, "rules:\n  - {name: d, when: 'true', publish: {allow: [s]}, subscribe: {}, "+tt.types+"}")
		_, fail := p.Decide(ask(`{}`, func(q *wire.DecideRequest) { q.Client.Kind, q.Client.Type = tt.kind, tt.client }), rules.Context{})
		if code(fail) != tt.want {
			t.Errorf("%s, %s %s: %v, want %v", tt.types, tt.kind, tt.client, fail, tt.want)
		}
	}
}

// TestMQTTClientID: an MQTT session belongs to whoever names it, so that the name must be the device's own.
func TestMQTTClientID(t *testing.T) {
	const device, nobody = "variables: {device_id: {from: [sub]}}\nrules:\n  - {name: d, when: 'true', publish: {allow: [\"s.{device_id}\"]}, subscribe: {}",
		"rules:\n  - {name: d, when: 'true', publish: {allow: [s]}, subscribe: {}"
	for _, tt := range []struct {
		rule, kind, id string
		want           wire.Code
	}{
		{device + "}", "mqtt", "a", 0},
		{device + "}", "mqtt", "b", wire.MQTTClientID},
		{device + "}", "mqtt", "A", wire.MQTTClientID},
		{device + "}", "mqtt", "", wire.MQTTClientID},
		{device + "}", "nats", "", 0},
		{device + "}", "websocket", "b", 0},
		{device + ", mqtt_client_id: device_id}", "mqtt", "b", wire.MQTTClientID},
		{device + ", mqtt_client_id: any}", "mqtt", "b", 0},
		{nobody + "}", "mqtt", "a", wire.MQTTClientID},
		{nobody + "}", "mqtt", "", wire.MQTTClientID},
		{nobody + "}", "nats", "", 0},
		{nobody + ", mqtt_client_id: any}", "mqtt", "a", 0},
	} {
		_, fail := mustCompile(t, tt.rule).Decide(ask(`{"sub":"a"}`, func(q *wire.DecideRequest) { q.Client.Type, q.Client.MQTTClientID = tt.kind, tt.id }), rules.Context{})
		if code(fail) != tt.want {
			t.Errorf("%s, %s %q: %v, want %v", tt.rule, tt.kind, tt.id, fail, tt.want)
		}
	}
}

func TestMacros(t *testing.T) {
	p := mustCompile(t, `
variables: { device_id: { from: [sub] } }
rules:
  - name: device
    when: 'true'
    inbox: private
    kv: [ { bucket: config, keys: ["{device_id}.>"], access: [read, write, watch] } ]
    streams: [ { publish: ["telemetry.{device_id}"] } ]
    consumers: [ { stream: JOBS, name: "dev-{device_id}" } ]
    object_stores: [ { bucket: "fw-{device_id}", access: [read, write] } ]
`)
	g, fail := p.Decide(request(`{"sub":"a"}`), rules.Context{})
	if fail != nil {
		t.Fatal(fail)
	}
	want := wire.Grant{Rule: "device", Device: "a",
		Publish: wire.Permissions{Allow: []string{
			"$JS.API.STREAM.INFO.KV_config", "$JS.FC.KV_config.>", "$JS.API.DIRECT.GET.KV_config.$KV.config.a.>", "$KV.config.a.>", "$JS.API.CONSUMER.CREATE.KV_config.*.$KV.config.a.>",
			"telemetry.a",
			"$JS.API.CONSUMER.INFO.JOBS.dev-a", "$JS.API.CONSUMER.MSG.NEXT.JOBS.dev-a", "$JS.ACK.JOBS.dev-a.>",
			"$JS.API.STREAM.INFO.OBJ_fw-a", "$JS.API.DIRECT.GET.OBJ_fw-a.$O.fw-a.M.>",
			"$JS.FC.OBJ_fw-a.>", "$JS.API.CONSUMER.DELETE.OBJ_fw-a.*", "$JS.API.CONSUMER.CREATE.OBJ_fw-a.*.$O.fw-a.C.*", "$JS.API.CONSUMER.CREATE.OBJ_fw-a.*.$O.fw-a.M.>",
			"$O.fw-a.>", "$JS.API.STREAM.PURGE.OBJ_fw-a",
		}},
		Subscribe: wire.Permissions{Allow: []string{"_INBOX_a.>"}},
	}
	if !reflect.DeepEqual(*g, want) {
		got, _ := json.MarshalIndent(g, "", " ")
		t.Errorf("got %s", got)
	}
}

// TestIndex compares decisions over many rules for many roles with the first rule whose role the token has.
func TestIndex(t *testing.T) {
	var text strings.Builder
	text.WriteString("rules:\n")
	names := []string{"a", "b", "c", "d"}
	order := []string{"d", "b", "", "a", "c"}
	for i, role := range order {
		when := `claims.free == true`
		if role != "" {
			when = `"` + role + `" in roles && claims.n != ` + string(rune('0'+i))
		}
		text.WriteString("  - {name: r" + string(rune('0'+i)) + ", when: '" + when + "', publish: {allow: [x]}, subscribe: {}}\n")
	}
	p := mustCompile(t, text.String())
	for bits := range 1 << len(names) {
		var roles []string
		for i, n := range names {
			if bits>>i&1 == 1 {
				roles = append(roles, n)
			}
		}
		for n := range len(order) {
			want := ""
			for i, role := range order {
				if role != "" && i != n && strings.Contains(strings.Join(roles, ""), role) {
					want = "r" + string(rune('0'+i))
					break
				}
			}
			g, fail := p.Decide(ask(`{"free":false,"n":`+string(rune('0'+n))+`}`, func(q *wire.DecideRequest) { q.Token.Roles = roles }), rules.Context{})
			got := ""
			if fail == nil {
				got = g.Rule
			} else if fail.Code != wire.NoMatchingRule {
				t.Fatal(fail)
			}
			if got != want {
				t.Errorf("roles %v, n %d: rule %q, want %q", roles, n, got, want)
			}
		}
	}
}

// TestIndexChangesNothing compares the decisions of rules that the index tells apart with those of the same rules behind a
// condition that hides from it what they need.
func TestIndexChangesNothing(t *testing.T) {
	conditions := []string{
		`claims.t == "a"`, `"r1" in roles && claims.u == "x"`, `issuer == "i1"`, `"b" == claims.t`, `has(claims.u) && claims.u == "y"`,
		`"r2" in roles`, `claims.t == "c" && issuer == "i2"`, `claims.u == "z"`,
	}
	build := func(format string) *rules.Policy {
		text := "rules:\n"
		for i, c := range conditions {
			text += fmt.Sprintf("  - {name: r%d, when: '"+format+"', publish: {allow: [x]}, subscribe: {}}\n", i, c)
		}
		return mustCompile(t, text)
	}
	indexed, hidden := build("%s"), build("!(!(%s))")
	for _, claims := range []string{`{}`, `{"t":null}`, `{"t":7,"u":[]}`, `{"t":"a"}`, `{"t":"b","u":"x"}`, `{"t":"c","u":"y"}`, `{"t":"d","u":"z"}`, `{"t":"d","u":"w"}`, `{"u":"x"}`, `{"t":"z"}`, `{"t":{"a":1},"u":"z"}`} {
		for _, roles := range [][]string{nil, {"r1"}, {"r2"}, {"r1", "r2"}, {"r3"}} {
			for _, issuer := range []string{"i1", "i2", "i3"} {
				q := ask(claims, func(q *wire.DecideRequest) { q.Token.Roles, q.Token.Issuer = roles, issuer })
				a, af := indexed.Decide(q, rules.Context{})
				b, bf := hidden.Decide(q, rules.Context{})
				if code(af) != code(bf) || (a != nil && a.Rule != b.Rule) || (af != nil && !reflect.DeepEqual(af.Policy, bf.Policy)) {
					t.Errorf("%s %v %s: %+v %v, without the index %+v %v", claims, roles, issuer, a, af, b, bf)
				}
			}
		}
	}
}
