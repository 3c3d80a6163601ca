//go:build prometheus

package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.yaml.in/yaml/v3"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/oidctest"
	"harmony.internal/authcallout/shared/wire"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// tool returns the path of a program of Debian's package prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not there; install it: apt-get install --no-install-recommends prometheus", name)
	}
	return path
}

// TestPromtool checks the rules, has them tested, and checks the example of a Prometheus configuration.
func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}, {"check", "config", "prometheus.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = shipped
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// prometheus is a running Prometheus that scrapes every second.
type prometheus struct{ url string }

func startPrometheus(t *testing.T, c *cluster.Cluster) *prometheus {
	t.Helper()
	dir := t.TempDir()
	var targets []string
	for _, service := range cluster.Services() {
		for _, r := range c.Replicas(service) {
			targets = append(targets, fmt.Sprintf("%q", r.Monitor(t)))
		}
	}
	rules, err := filepath.Abs(filepath.Join(shipped, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [%q]
scrape_configs:
  - job_name: authcallout
    static_configs: [ { targets: [%s] } ]
`, rules, strings.Join(targets, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log cluster.Log
	cmd := exec.Command(tool(t, "prometheus"), "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.Tail(30))
		}
	})
	p := &prometheus{url: "http://" + address}
	cluster.Eventually(t, "Prometheus has scraped every replica", func() bool {
		v, err := p.query(`sum(up{job="authcallout"} == 1)`)
		return err == nil && len(v) == 1 && v[0].Value[1] == fmt.Sprint(len(targets))
	})
	return p
}

type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// get asks Prometheus' API.
func (p *prometheus) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

func (p *prometheus) query(expr string) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return data.Result, err
}

// alerts are those that fire or wait to, by name.
func (p *prometheus) alerts(t *testing.T) map[string]string {
	t.Helper()
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := p.get("/api/v1/alerts", &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, a := range data.Alerts {
		all[a.Labels["alertname"]] = a.State
	}
	return all
}

// rules are the alerts' expressions as shipped.
func rules(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shipped, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r.Expr
		}
	}
	return all
}

// TestPrometheus has a real Prometheus scrape a real run, evaluates every query of the dashboard and every alert on it while
// all is well, and then breaks things and wants the alerts to notice.
func TestPrometheus(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed(), Processes: true, Replicas: 2})
	p := startPrometheus(t, c)
	stop := traffic(t, c)

	t.Run("dashboard", func(t *testing.T) {
		for _, panel := range readDashboard(t).Panels {
			for _, target := range panel.Targets {
				cluster.Eventually(t, "the panel "+panel.Title+" shows something for "+target.Expr, func() bool {
					result, err := p.query(grafana(target.Expr))
					if err != nil {
						t.Fatalf("%s: %v", target.Expr, err)
					}
					return len(result) > 0
				})
			}
		}
	})
	t.Run("all is well", func(t *testing.T) {
		for name, expr := range rules(t) {
			if _, err := p.query(expr); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// In a test half of the logins are denied on purpose.
		for name, state := range p.alerts(t) {
			if name != "AuthcalloutManyDenied" {
				t.Errorf("%s is %s while all is well", name, state)
			}
		}
	})
	t.Run("trouble", func(t *testing.T) {
		for _, r := range c.Replicas(wire.QueuePolicy) {
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"AuthcalloutReplicaDown", "AuthcalloutServiceGone", "AuthcalloutNotReady", "AuthcalloutLoginsInTrouble"} {
			cluster.Eventually(t, name+" notices that policy is gone", func() bool { return p.alerts(t)[name] != "" })
		}
	})
	stop()
}

// grafana fills in what Grafana does.
func grafana(expr string) string {
	return strings.NewReplacer("$__rate_interval", "30s", "$job", ".*").Replace(expr)
}

// traffic lets devices come and go, good and bad ones, until stop is called.
func traffic(t *testing.T, c *cluster.Cluster) (stop func()) {
	t.Helper()
	tokens := []string{
		c.Token(t, "sensor-a"), c.Token(t, "sensor-b"), "no.token.atall",
		c.Issuer.Mint(t, "RS256", c.Claims("sensor-c", oidctest.Claims{oidctest.RolesClaim: map[string]any{}})),
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if nc, err := c.Dial(nats.Token(tokens[i%len(tokens)]), nats.MaxReconnects(0), nats.Timeout(3*time.Second)); err == nil {
				nc.Close()
			}
		}
	}()
	return func() { close(ended); <-done }
}
