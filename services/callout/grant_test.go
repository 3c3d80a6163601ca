package callout

import (
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/wire"
)

func deviceGrant() *wire.Grant {
	return &wire.Grant{
		Rule: "device", Device: "sensor-a", Account: "DEVICES",
		Publish:   wire.Permissions{Allow: []string{"device-state.sensor-a", "_INBOX.>"}},
		Subscribe: wire.Permissions{Allow: []string{"device-commands.sensor-a", "_INBOX.>"}},
	}
}

func TestCheckGrant(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*wire.Grant)
		code   wire.Code
	}{
		{"ordinary", func(*wire.Grant) {}, 0},
		{"another allowed account", func(g *wire.Grant) { g.Account = "FLEET" }, 0},
		{"no device", func(g *wire.Grant) { g.Device = "" }, 0},
		{"no side at all", func(g *wire.Grant) { g.Publish, g.Subscribe = wire.Permissions{}, wire.Permissions{} }, 0},
		{"queue group on subscribe", func(g *wire.Grant) { g.Subscribe.Allow = []string{"work.> workers"} }, 0},
		{"responses", func(g *wire.Grant) { g.Responses = &wire.Responses{Max: 1, TTLMillis: 1000} }, 0},

		{"an account that is not allowed", func(g *wire.Grant) { g.Account = "AUTH" }, wire.BadReply},
		{"the system account", func(g *wire.Grant) { g.Account = "$SYS" }, wire.BadReply},
		{"no account", func(g *wire.Grant) { g.Account = "" }, wire.BadReply},
		{"account by another case", func(g *wire.Grant) { g.Account = "devices" }, wire.BadReply},
		{"no rule", func(g *wire.Grant) { g.Rule = "" }, wire.BadReply},
		{"rule with a newline", func(g *wire.Grant) { g.Rule = "a\nb" }, wire.BadReply},
		{"device *", func(g *wire.Grant) { g.Device = "*" }, wire.BadReply},
		{"device >", func(g *wire.Grant) { g.Device = ">" }, wire.BadReply},
		{"device with a dot", func(g *wire.Grant) { g.Device = "a.b" }, wire.BadReply},
		{"device with a space", func(g *wire.Grant) { g.Device = "a b" }, wire.BadReply},
		{"device $SYS", func(g *wire.Grant) { g.Device = "$SYS" }, wire.BadReply},
		{"device of 300", func(g *wire.Grant) { g.Device = strings.Repeat("a", 300) }, wire.BadReply},
		{"empty subject", func(g *wire.Grant) { g.Publish.Allow = []string{""} }, wire.BadReply},
		{"empty token", func(g *wire.Grant) { g.Publish.Allow = []string{"a..b"} }, wire.BadReply},
		{"trailing dot", func(g *wire.Grant) { g.Publish.Allow = []string{"a."} }, wire.BadReply},
		{"> inside", func(g *wire.Grant) { g.Publish.Allow = []string{"a.>.b"} }, wire.BadReply},
		{"tab", func(g *wire.Grant) { g.Publish.Allow = []string{"a\tb"} }, wire.BadReply},
		{"NUL", func(g *wire.Grant) { g.Publish.Allow = []string{"a\x00b"} }, wire.BadReply},
		{"no-break space", func(g *wire.Grant) { g.Publish.Allow = []string{"a\u00a0b"} }, wire.BadReply},
		{"not UTF-8", func(g *wire.Grant) { g.Publish.Allow = []string{"a\xff"} }, wire.BadReply},
		{"queue group on publish", func(g *wire.Grant) { g.Publish.Allow = []string{"a b"} }, wire.BadReply},
		{"two spaces", func(g *wire.Grant) { g.Subscribe.Allow = []string{"a b c"} }, wire.BadReply},
		{"bad deny", func(g *wire.Grant) { g.Subscribe.Deny = []string{"."} }, wire.BadReply},
		{"a subject over the bound", func(g *wire.Grant) { g.Publish.Allow = []string{strings.Repeat("a", maxSubjectBytes+1)} }, wire.BadReply},
		{"negative session", func(g *wire.Grant) { g.MaxSessionSeconds = -1 }, wire.BadReply},
		{"a session that overflows", func(g *wire.Grant) { g.MaxSessionSeconds = 1 << 62 }, wire.BadReply},
		{"unbounded responses", func(g *wire.Grant) { g.Responses = &wire.Responses{Max: -1, TTLMillis: 1000} }, wire.BadReply},
		{"responses left to the server", func(g *wire.Grant) { g.Responses = &wire.Responses{} }, wire.BadReply},
		{"responses that overflow", func(g *wire.Grant) { g.Responses = &wire.Responses{Max: 1, TTLMillis: 1 << 62} }, wire.BadReply},
		{"too many subjects", func(g *wire.Grant) { g.Publish.Allow = make([]string, maxSubjects) }, wire.GrantTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := deviceGrant()
			row.change(g)
			wantCode(t, checkGrant(g, []string{"DEVICES", "FLEET"}), row.code)
		})
	}
}

func TestOverlap(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a.b", "a", false},
		{">", "auth.v1.>", true},
		{"auth.>", "auth.v1.>", true},
		{"auth.v1.>", "auth.>", true},
		{"auth.v1", "auth.v1.>", false},
		{"auth.*", "auth.v1.>", false},
		{"auth.*.x", "auth.v1.>", true},
		{"*.v1.token.check", "auth.v1.>", true},
		{"*.*", "a.b", true},
		{"device-state.x", "auth.v1.>", false},
		{"_INBOX.>", "_AUTH_INBOX.>", false},
	} {
		if got := overlap(row.a, row.b); got != row.want {
			t.Errorf("overlap(%q, %q) is %v", row.a, row.b, got)
		}
		if got := overlap(row.b, row.a); got != row.want {
			t.Errorf("overlap(%q, %q) is %v", row.b, row.a, got)
		}
	}
}
