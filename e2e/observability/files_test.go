package observability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"harmony.internal/authcallout/e2e/docs"
)

var shipped = filepath.Join("..", "..", "deploy", "observability")

// dashboard is the part of Grafana's format that is of use here.
type dashboard struct {
	UID    string `json:"uid"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct{ X, Y, W, H int }
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shipped, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var metricName = regexp.MustCompile(`authcallout_[a-z_]+`)

// documented are the names that an expression may use, with those that a histogram adds.
func documented() map[string]bool {
	names := map[string]bool{}
	for _, g := range docs.MetricGroups() {
		for _, m := range g.Metrics {
			names[m.Name] = true
			if m.Kind == "histogram" {
				names[m.Name+"_bucket"], names[m.Name+"_sum"], names[m.Name+"_count"] = true, true, true
			}
		}
	}
	return names
}

// Every panel has a place of its own and uses metrics that exist; every metric is on the dashboard or in an alert.
func TestDashboard(t *testing.T) {
	known := documented()
	d := readDashboard(t)
	ids, used := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel id %d stands twice", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				used[name] = true
				if !known[name] {
					t.Errorf("%q uses %s, which nobody exports", p.Title, name)
				}
			}
		}
	}
	alerts, err := os.ReadFile(filepath.Join(shipped, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(alerts)) {
		if strings.HasPrefix(strings.TrimSpace(line), "description:") {
			continue
		}
		for _, name := range metricName.FindAllString(line, -1) {
			used[name] = true
			if !known[name] {
				t.Errorf("the alerts use %s, which nobody exports", name)
			}
		}
	}
	for name := range known {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !used[name] && !used[base+"_bucket"] && !used[base+"_sum"] && !ofInterestOnly[name] {
			t.Errorf("%s is on no panel and in no alert", name)
		}
	}
}

// ofInterestOnly are metrics for somebody who looks closely.
var ofInterestOnly = map[string]bool{
	"authcallout_keyset_keys": true, "authcallout_shadow_decisions_total": true, "authcallout_shadow_differences_total": true,
	"authcallout_refusals_total": true, "authcallout_auth_errors_watched": true,
}
