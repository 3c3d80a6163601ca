package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // images of the services hold nothing but the binary

	"harmony.internal/authcallout/shared/wire"
)

// bounds are what a rule demands of the connection beside its condition. They are judged here, and not by nats-server:
// of a callout's user JWT it takes connection types and times, but not source networks (auth_callout.go), and it
// would not say why it refuses.
type bounds struct {
	networks   []netip.Prefix
	types      []string
	hours      *hours
	maxSession time.Duration
	// anyMQTTClientID admits an MQTT client under whatever client id.
	anyMQTTClientID bool
}

// leafNode is the connection type of a whole server that joins the account.
const leafNode = "leafnode"

var connectionTypes = []string{"nats", "mqtt", "websocket", leafNode}

// admitType refuses a type of connection that the rule does not name. nats-server asks for leaf nodes as for clients, and
// says which in the kind alone (server/auth_callout.go, processClientOrLeafCallout).
func (b *bounds) admitType(client *wire.Client) *wire.Error {
	admitted := slices.Contains(b.types, client.Type) || len(b.types) == 0
	if client.Kind != "" && client.Kind != "Client" {
		admitted = client.Kind == "Leafnode" && slices.Contains(b.types, leafNode)
	}
	if !admitted {
		return wire.Fail(wire.ConnectionType, "", nil)
	}
	return nil
}

// Values of mqtt_client_id.
const (
	mqttClientIDDevice = "device_id"
	mqttClientIDAny    = "any"
)

// admitMQTT refuses an MQTT client whose client id is not its device id, empty for none. nats-server keeps MQTT sessions by
// account and client id alone (server/mqtt.go, mqttProcessConnect): whoever comes with the client id of another ends its
// connection and takes its session over, subscriptions included.
func (b *bounds) admitMQTT(client *wire.Client, device string) *wire.Error {
	if client.Type != "mqtt" || b.anyMQTTClientID || device != "" && client.MQTTClientID == device {
		return nil
	}
	return wire.Fail(wire.MQTTClientID, "", nil)
}

func (c *ruleCompiler) bounds() bounds {
	b := bounds{types: c.text.ConnectionTypes, maxSession: c.text.MaxSession}
	if b.maxSession < 0 || (b.maxSession > 0 && b.maxSession < time.Second) {
		c.report.Errorf(c.key+".max_session", "must be at least 1s")
	}
	for i, text := range c.text.SourceNetworks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
		}
		if err != nil || prefix.Masked() != prefix {
			c.report.Errorf(fmt.Sprintf("%s.source_networks[%d]", c.key, i), "%q: must be a network as 10.0.0.0/8, or an address", text)
		}
		b.networks = append(b.networks, prefix)
	}
	for i, t := range b.types {
		if !slices.Contains(connectionTypes, t) {
			c.report.Errorf(fmt.Sprintf("%s.connection_types[%d]", c.key, i), "%q: must be one of %s", t, strings.Join(connectionTypes, ", "))
		}
	}
	switch c.text.MQTTClientID {
	case "", mqttClientIDDevice:
	case mqttClientIDAny:
		b.anyMQTTClientID = true
	default:
		c.report.Errorf(c.key+".mqtt_client_id", "%q: must be %s or %s", c.text.MQTTClientID, mqttClientIDDevice, mqttClientIDAny)
	}
	if h := c.text.Hours; h != nil {
		b.hours = c.compileHours(h)
	}
	return b
}

// admit returns how long a session may last by this rule, 0 for as long as the token does, or why it may not begin.
func (b *bounds) admit(client *wire.Client, now time.Time) (time.Duration, *wire.Error) {
	if len(b.networks) > 0 {
		addr, err := netip.ParseAddr(client.Host)
		addr = addr.Unmap().WithZone("")
		if err != nil || !slices.ContainsFunc(b.networks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return 0, wire.Fail(wire.SourceNotAllowed, "", nil)
		}
	}
	if fail := b.admitType(client); fail != nil {
		return 0, fail
	}
	session := b.maxSession
	if b.hours != nil {
		left := b.hours.left(now)
		if left < time.Second {
			return 0, wire.Fail(wire.OutsideHours, "", nil)
		}
		if session == 0 || left < session {
			session = left
		}
	}
	return session, nil
}

// hours is a part of certain days.
type hours struct {
	from, to int // minutes of the day; to <= from is of the next day
	days     [7]bool
	zone     *time.Location
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (c *ruleCompiler) compileHours(h *Hours) *hours {
	out := &hours{zone: time.UTC}
	key := c.key + ".hours"
	for _, part := range []struct {
		name, text string
		into       *int
	}{{"from", h.From, &out.from}, {"to", h.To, &out.to}} {
		t, err := time.Parse("15:04", part.text)
		if err != nil {
			c.report.Errorf(key+"."+part.name, "%q: must be a time of day as 08:00", part.text)
		}
		*part.into = t.Hour()*60 + t.Minute()
	}
	for i, name := range h.Days {
		day := slices.Index(dayNames, name)
		if day < 0 {
			c.report.Errorf(fmt.Sprintf("%s.days[%d]", key, i), "%q: must be one of %s", name, strings.Join(dayNames, ", "))
			continue
		}
		out.days[day] = true
	}
	if len(h.Days) == 0 {
		out.days = [7]bool{true, true, true, true, true, true, true}
	}
	if h.TimeZone == "Local" {
		c.report.Errorf(key+".time_zone", "Local differs from host to host; name it, as Europe/Berlin")
	} else if zone, err := time.LoadLocation(h.TimeZone); err != nil {
		c.report.Errorf(key+".time_zone", "%v", err)
	} else {
		out.zone = zone
	}
	return out
}

// left is how long the hours last from now, 0 outside of them. The clock's changes are part of it: the end is a time of
// day, not a duration.
func (h *hours) left(now time.Time) time.Duration {
	local := now.In(h.zone)
	for _, back := range []int{0, 1} { // hours that began today, or yesterday and go on
		day := local.AddDate(0, 0, -back)
		if !h.days[day.Weekday()] {
			continue
		}
		at := func(addDays, minutes int) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day()+addDays, 0, minutes, 0, 0, h.zone)
		}
		next := 0
		if h.to <= h.from {
			next = 1
		}
		if begin, end := at(0, h.from), at(next, h.to); !now.Before(begin) && now.Before(end) {
			return end.Sub(now)
		}
	}
	return 0
}
