//go:build podman

package podmantest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/podman/deployment"
)

// TestRunbook puts a deployment with TLS into every state that docs/runbook.md has a section about, and runs the section's
// commands there. Each must print what the page shows.
func TestRunbook(t *testing.T) {
	r := newTLSRig(t, "authcallout-runbook")
	page, err := os.ReadFile(filepath.Join(r.Root, "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	r.up(t)
	tokenFile := filepath.Join(r.Root, "token.jwt")
	t.Cleanup(func() { _ = os.Remove(tokenFile) })
	states := map[string]func(*testing.T){
		"One device is refused": func(t *testing.T) {
			r.refused(t, malformed)
			r.refused(t, malformed)
			r.write(t, tokenFile, malformed)
		},
		"All devices are refused": func(t *testing.T) {
			token := r.token(t, "sensor-a")
			r.write(t, tokenFile, token)
			r.replaceRules(t, `"device" in roles`, `"nobody" in roles`)
			for range 3 {
				r.refused(t, token)
			}
		},
		"Devices time out": func(t *testing.T) {
			r.replaceRules(t, `"nobody" in roles`, `"device" in roles`)
			podman(t, "stop", "-t", "10", r.Project+"-tokencheck-1", r.Project+"-tokencheck-2")
		},
		"Logins are slow": func(t *testing.T) {
			token := r.token(t, "sensor-a")
			eventually(t, "a login works", func() bool { return r.tryLogin(token) == nil })
		},
		"The identity provider is down": func(t *testing.T) { podman(t, "stop", "-t", "5", r.Project+"-devidp") },
		"The provider changed its keys": func(t *testing.T) {
			podman(t, "start", r.Project+"-devidp")
			eventually(t, "devidp is back", func() bool { return exec.Command("podman", "healthcheck", "run", r.Project+"-devidp").Run() == nil })
			podman(t, "exec", r.Project+"-devidp", "/devidp", "rotate", "-data", "/data")
			r.write(t, tokenFile, r.token(t, "sensor-a"))
		},
		"Replicas decide differently": func(t *testing.T) {
			file := filepath.Join(string(r.State), "tokencheck", "tokencheck.yaml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r.write(t, file, strings.Replace(string(text), "EdDSA]", "EdDSA]\n    leeway: 10s", 1))
			podman(t, "restart", "-t", "10", r.Project+"-tokencheck-2")
			eventually(t, "the replicas differ", func() bool { return r.configs(t) == 2 })
		},
		"nats-server was restarted, changed or upgraded": func(t *testing.T) {
			eventually(t, "the replicas agree", func() bool { return r.configs(t) == 1 })
			podman(t, "restart", "-t", "10", r.Project+"-nats-1")
			token := r.token(t, "sensor-a")
			eventually(t, "a login works", func() bool { return r.tryLogin(token) == nil })
		},
		"A certificate is about to end": nil,
		"The disk is full":              nil,
		"Who was admitted last week":    nil,
		"Nobody gets in, and nothing helps": func(t *testing.T) {
			podman(t, "stop", "-t", "10", r.Project+"-callout-1", r.Project+"-callout-2")
			password, err := os.ReadFile(r.State.Files().Platform)
			if err != nil {
				t.Fatal(err)
			}
			r.device(t, "", append(r.secure, nats.UserInfo("platform", string(password)), nats.Name("platform"))...)
		},
	}
	sections := readRunbook(string(page))
	if len(sections) != len(states) {
		t.Errorf("the page has %d sections with commands, this test %d states", len(sections), len(states))
	}
	for _, s := range sections {
		prepare, known := states[s.title]
		if !known {
			t.Errorf("no state for the section %q", s.title)
			continue
		}
		ok := t.Run(s.title, func(t *testing.T) {
			if prepare != nil {
				prepare(t)
			}
			for _, c := range s.commands {
				r.follow(t, c)
			}
		})
		if !ok {
			return // the next section begins where this one should have ended
		}
	}
}

// step is one command of the page and the lines that it prints among others.
type step struct {
	command string
	shows   []string
}

type section struct {
	title    string
	commands []step
}

var fence = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// readRunbook takes the sections that have commands out of the page.
func readRunbook(page string) []section {
	var all []section
	for _, part := range strings.Split(page, "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		s := section{title: title}
		for _, block := range fence.FindAllStringSubmatch(body, -1) {
			text := strings.TrimSpace(block[2])
			if block[1] == "sh" {
				s.commands = append(s.commands, step{command: text})
				continue
			}
			s.commands[len(s.commands)-1].shows = strings.Split(text, "\n")
		}
		if len(s.commands) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// follow runs a command of the page until it prints what the page shows: what it looks at may take a moment to be seen.
func (r *rig) follow(t *testing.T, c step) {
	t.Helper()
	command := strings.NewReplacer("deploy/podman/state", string(r.State), "authcallout-", r.Project+"-").Replace(c.command)
	refusal := strings.Contains(strings.Join(c.shows, "\n"), "WRONG") // which the command ends with an error for
	var out []byte
	var missing string
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		cmd := exec.CommandContext(ctx, "bash", "-c", command)
		cmd.Dir = r.Root
		cmd.Env = append(os.Environ(), "AUTHCALLOUT_STATE="+string(r.State), "AUTHCALLOUT_FILE="+r.File, "AUTHCALLOUT_PROJECT="+r.Project,
			"AUTHCALLOUT_VERSION="+r.Version, "HOME="+os.Getenv("HOME"))
		var err error
		out, err = cmd.CombinedOutput()
		cancel()
		missing = r.missing(string(out), c.shows)
		if missing == "" && (err == nil || refusal) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%v\nno line %q in\n%s", c.command, err, missing, out)
		}
	}
}

// missing returns the first line of the page that the output lacks. "..." stands for anything, columns for white space.
func (r *rig) missing(out string, shows []string) string {
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, squeeze(line))
	}
	for _, want := range shows {
		want = strings.ReplaceAll(want, "authcallout-", r.Project+"-")
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(squeeze(want)), `\.\.\.`, ".*") + "$")
		found := false
		for _, line := range lines {
			found = found || pattern.MatchString(line)
		}
		if !found {
			return want
		}
	}
	return ""
}

var gaps = regexp.MustCompile(`[\s│]+`)

func squeeze(line string) string { return strings.TrimSpace(gaps.ReplaceAllString(line, " ")) }

func (r *rig) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil { // an existing file keeps its owner
		t.Fatal(err)
	}
}

func (r *rig) replaceRules(t *testing.T, old, with string) {
	t.Helper()
	file := filepath.Join(string(r.State), "policy", "rules.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s is not in the rules:\n%s", old, text)
	}
	before := r.totals(t, "policy").policies
	r.write(t, file, strings.ReplaceAll(string(text), old, with))
	eventually(t, "both replicas have the new rules", func() bool {
		now := r.totals(t, "policy").policies
		for hash := range now {
			if before[hash] {
				return false
			}
		}
		return len(now) == 1
	})
}

func (r *rig) tryLogin(token string) error {
	nc, err := nats.Connect("nats://"+r.listen, append(r.secure, nats.Token(token), nats.NoReconnect(), nats.Timeout(10*time.Second))...)
	if err == nil {
		nc.Close()
	}
	return err
}

func (r *rig) refused(t *testing.T, token string) {
	t.Helper()
	if r.tryLogin(token) == nil {
		t.Error("was let in")
	}
}

// configs counts the different configurations of tokencheck.
func (r *rig) configs(t *testing.T) int {
	t.Helper()
	different := map[string]bool{}
	for _, one := range r.asReplicas(t, "micro", "ls", "tokencheck") {
		different[one.Metadata["config"]] = true
	}
	return len(different)
}

// newTLSRig is newRig with a certificate for this host that nobody else vouches for.
func newTLSRig(t *testing.T, project string) *rig {
	t.Helper()
	r := newRig(t, project, deployment.Modes{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats.test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyRaw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(r.File)
	certFile := filepath.Join(dir, "tls.crt")
	r.write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})))
	r.write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyRaw})))
	r.configure(t, "tls: { cert_file: tls.crt, key_file: tls.key }\n")
	r.listen = strings.Replace(r.listen, "127.0.0.1", "localhost", 1)
	r.secure = []nats.Option{nats.RootCAs(certFile)}
	return r
}
