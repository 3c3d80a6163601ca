package deployment

import (
	"strings"
	"testing"
	"time"
)

const someLog = `{"level":"info","time":"2026-11-24T08:00:00.5Z","msg":"serving"}
not JSON at all
{"level":"info","time":"2026-11-24T08:00:01Z","msg":"decision","outcome":"admitted","device":"sensor-a","client_host":"192.0.2.1","total_ms":1.25}
{"level":"warn","time":"2026-11-24T08:00:01.5Z","msg":"nats-server gave up a login that no callout decided","outcome":"unanswered","detail":"timeout","client_host":"192.0.2.9"}
{"level":"info","time":"yesterday","msg":"decision","outcome":"denied"}
`

// lastOfLog comes after a line of any length.
const lastOfLog = `{"level":"info","time":"2026-11-24T08:00:02Z","msg":"decision","outcome":"denied","code":1001,"reason":"token_expired","subject":"42","total_ms":0.5}
`

// TestDecisionsThatCannotBeRead: the error says what the engine said.
func TestDecisionsThatCannotBeRead(t *testing.T) {
	state := State(t.TempDir())
	if err := state.remember(Modes{}); err != nil {
		t.Fatal(err)
	}
	d := &Deployment{Engine: &Engine{cli: []string{"sh", "-c", "echo no such container >&2; exit 125"}}, State: state, Project: "test", Out: &strings.Builder{}}
	if err := d.Decisions(t.Context(), time.Hour, Filter{}); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("%v", err)
	}
}

func TestDecisions(t *testing.T) {
	all := readDecisions(someLog + strings.Repeat("x", 2<<20) + "\n" + lastOfLog)
	if len(all) != 3 {
		t.Fatalf("%d decisions, want 3", len(all))
	}
	for name, c := range map[string]struct {
		filter Filter
		want   int
	}{
		"none":           {Filter{}, 3},
		"outcome":        {Filter{Outcome: "denied"}, 1},
		"unanswered":     {Filter{Outcome: "unanswered", Client: "192.0.2.9"}, 1},
		"reason":         {Filter{Reason: "token_expired"}, 1},
		"device":         {Filter{Client: "sensor-a"}, 1},
		"subject":        {Filter{Client: "42"}, 1},
		"address":        {Filter{Client: "192.0.2.1"}, 1},
		"nothing at all": {Filter{Client: "sensor-a", Outcome: "denied"}, 0},
	} {
		got := 0
		for _, d := range all {
			if c.filter.matches(d) {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	var out strings.Builder
	if err := printDecisions(&out, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sensor-a", "token_expired", "3 decisions", "1  admitted", "1  unanswered", "1  denied token_expired", "total 1.2 1.2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
