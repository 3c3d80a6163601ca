package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"harmony.internal/authcallout/shared/monitor"
)

// Monitor is HOST:PORT of the replica's metrics and health in its present run.
func (r *Replica) Monitor(t testing.TB) string {
	t.Helper()
	address := ""
	Eventually(t, fmt.Sprintf("%s-%d says where its monitor listens", r.Service, r.Index+1), func() bool {
		for line := range strings.Lines(r.log.String()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "monitor listens" {
				address = entry.Address
			}
		}
		return address != ""
	})
	return address
}

// Get asks the replica's monitor and returns status and body.
func (r *Replica) Get(t testing.TB, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + r.Monitor(t) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Ready asks the replica whether it is ready, over HTTP.
func (r *Replica) Ready(t testing.TB) (int, *monitor.Readiness) {
	t.Helper()
	code, body := r.Get(t, "/readyz")
	var state monitor.Readiness
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return code, &state
}

// Samples are one scrape.
type Samples map[string]*dto.MetricFamily

// Scrape reads the replica's metrics.
func (r *Replica) Scrape(t testing.TB) Samples {
	t.Helper()
	code, body := r.Get(t, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// Sum adds up the samples of a counter or gauge whose labels include these, given as name, value, name, value.
func (s Samples) Sum(name string, labels ...string) float64 {
	sum := 0.0
	for _, m := range s[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i+1 < len(labels); i += 2 {
			fits = fits && have[labels[i]] == labels[i+1]
		}
		if fits {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}
