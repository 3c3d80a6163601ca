package deployment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"harmony.internal/authcallout/deploy/topology"
)

func renderIn(t *testing.T, dir string, c *Config, m Modes) *Rendered {
	t.Helper()
	c.SetDefaults()
	r, err := State(dir).render(c, m, topology.Identities{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func example() *Config { return &Config{Issuer: "https://zitadel.example.com", Project: "3141592653"} }

func TestServersReadWhatIsRendered(t *testing.T) {
	for name, m := range map[string]Modes{"one server": {}, "three": {Cluster: true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			renderIn(t, dir, example(), m)
			for _, s := range m.servers() {
				opts, err := server.ProcessConfigFile(filepath.Join(dir, s, serverConfigFile))
				if err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				if opts.ServerName != s || opts.AuthCallout == nil || opts.AuthCallout.XKey == "" {
					t.Errorf("%s: name %q, callout %v", s, opts.ServerName, opts.AuthCallout)
				}
				if m.Cluster != (len(opts.Routes) == 3) {
					t.Errorf("%s has %d routes", s, len(opts.Routes))
				}
			}
		})
	}
}

func TestEverythingIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	renderIn(t, dir, example(), Modes{Cluster: true, Development: true})
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each container mounts one directory: what is in it is what the container can know.
func TestSecretsAreWithWhoNeedsThem(t *testing.T) {
	dir := t.TempDir()
	renderIn(t, dir, example(), Modes{Development: true})
	want := map[string][]string{
		"nats-1":     {serverConfigFile},
		"callout":    {"callout.nk", "callout.xk", "callout.yaml", "issuer.nk"},
		"tokencheck": {"tokencheck.nk", "tokencheck.yaml"},
		"policy":     {"policy.nk", "policy.yaml", rulesFile},
		"devidp":     nil,
		providerKeys: {"tokencheck-1", "tokencheck-2"},
	}
	for name, files := range want {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if strings.Join(got, " ") != strings.Join(files, " ") {
			t.Errorf("%s holds %v, want %v", name, got, files)
		}
	}
}

func TestHashChangesWithWhatIsReadAtStart(t *testing.T) {
	dir := t.TempDir()
	first := renderIn(t, dir, example(), Modes{})
	if len(first.Created) != 8 {
		t.Errorf("made %d secrets, want 8", len(first.Created))
	}
	if err := os.WriteFile(filepath.Join(dir, policy, rulesFile), []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := renderIn(t, dir, example(), Modes{})
	if len(again.Created) != 0 {
		t.Errorf("the second run made %v", again.Created)
	}
	for name, hash := range first.Hash {
		if again.Hash[name] != hash {
			t.Errorf("%s: the hash changed though nothing did but the rules", name)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, policy, rulesFile)); err != nil || string(raw) != "# mine\n" {
		t.Errorf("the operator's rules were overwritten: %v", err)
	}
	other := example()
	other.Project = "2"
	changed := renderIn(t, dir, other, Modes{})
	if changed.Hash[tokencheck] == first.Hash[tokencheck] || changed.Hash[callout] != first.Hash[callout] {
		t.Error("another project must change tokencheck's hash and no other")
	}
}

func TestListenAddresses(t *testing.T) {
	got, err := listenAddresses("127.0.0.1:4222", 3)
	if err != nil || strings.Join(got, " ") != "127.0.0.1:4222 127.0.0.1:4223 127.0.0.1:4224" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"127.0.0.1:65534", "127.0.0.1:x", "127.0.0.1"} {
		if _, err := listenAddresses(bad, 3); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestModesAreRemembered(t *testing.T) {
	state := State(t.TempDir())
	if _, err := state.Remembered(); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("without a deployment: %v", err)
	}
	want := Modes{Cluster: true}
	if err := state.remember(want); err != nil {
		t.Fatal(err)
	}
	if got, err := state.Remembered(); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
}

func TestLoadConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "deployment.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "none.yaml")
	if _, _, err := LoadConfig(missing, false); err == nil || !strings.Contains(err.Error(), "DEV=1") {
		t.Errorf("missing file: %v", err)
	}
	if c, _, err := LoadConfig(missing, true); err != nil || c.Issuer != developmentIssuer || c.Listen != defaultListen {
		t.Errorf("development without a file: %v, %v", c, err)
	}
	good, err := os.ReadFile("../deployment.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c, _, err := LoadConfig(write(string(good)), false); err != nil || c.Role != "device" || c.DeviceID[0] != "sub" {
		t.Errorf("the example: %v, %v", c, err)
	}
	if c, _, err := LoadConfig(write(string(good)+"listen: 127.0.0.1:5222\n"), true); err != nil || c.Issuer != developmentIssuer || c.Listen != "127.0.0.1:5222" {
		t.Errorf("development with a file: %v, %v", c, err)
	}
	if c, _, err := LoadConfig(write("listen: 127.0.0.1:5222\nprobe_key_file: none.json\n"), true); err != nil || c.Issuer != developmentIssuer || c.Listen != "127.0.0.1:5222" || c.ProbeKeyFile != "" {
		t.Errorf("development with a file that names no provider: %v, %v", c, err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"unknown key":    {string(good) + "isuer: x\n", "isuer"},
		"no issuer":      {"project: \"1\"\n", "issuer"},
		"plain http":     {"issuer: http://x.example\nproject: \"1\"\n", "issuer"},
		"no project":     {"issuer: https://x.example\n", "project"},
		"not an address": {string(good) + "listen: localhost:4222\n", "listen"},
		"half a tls":     {string(good) + "tls: { cert_file: deployment.yaml }\n", "tls"},
		"odd patience":   {string(good) + "client_patience: 1500ms\n", "client_patience"},
		"odd role":       {strings.Replace(string(good), "role: device", "role: \"a'b\"", 1), "role"},
		"missing file":   {string(good) + "probe_key_file: none.json\n", "probe_key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := LoadConfig(write(c.text), false); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want a mention of %s", err, c.says)
			}
		})
	}
	if _, warnings, err := LoadConfig(write(string(good)+"listen: 0.0.0.0:4222\n"), false); err != nil || !strings.Contains(warnings.Error(), "token") {
		t.Errorf("open to others without tls: %v, %v", warnings, err)
	}
}

func TestLastLines(t *testing.T) {
	text := "a\nlevel=error msg=\"unable to get systemd connection to add healthchecks\"\n\nb\nc\n"
	if got := lastLines(text, 2); got != "b; c" {
		t.Errorf("%q", got)
	}
}
