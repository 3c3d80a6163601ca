package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/e2e/scenario"
	"harmony.internal/authcallout/shared/oidctest"
)

// What the documents show for an operator's own values.
const (
	shownAddress = "127.0.0.1:4222"
	shownIssuer  = "https://zitadel.example.com"
	shownProject = "3141592653"
)

// TestDocumentedTopologies follows docs/topologies.md to the letter: its commands make the keys and start nats-server, a
// process that the services did not start, its files configure the three services, and devices log in.
func TestDocumentedTopologies(t *testing.T) {
	t.Parallel()
	sections := markdown(t, "docs", "topologies.md")
	for _, heading := range []string{"Reference topology", "Hardened topology"} {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			site := newWorkplace(t)
			commands := site.write(t, sections["Keys and rules, for both topologies"])
			if len(commands) != 1 {
				t.Fatalf("%d blocks of commands make keys", len(commands))
			}
			if out, err := site.shell(commands[0]).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			commands = site.write(t, sections[heading])
			if len(commands) != 2 {
				t.Fatalf("%d blocks of commands; one is to start the server, one the services", len(commands))
			}
			// exec: a signal is for the server and not for the shell.
			start := regexp.MustCompile(`(?m)^nats-server `).ReplaceAllString(commands[0], "exec nats-server ")
			cluster.Run(t, site.shell(start)).Wrote(t, "Server is ready")
			site.serve(t, commands[1])
			password, err := os.ReadFile(filepath.Join(site.dir, "platform.password"))
			if err != nil {
				t.Fatal(err)
			}
			site.scenarios(t, nats.UserInfo(topology.PlatformUser, string(password)))
		})
	}
}

// TestDocumentedPermissions compares the permissions that docs/topologies.md shows with those that are shipped.
func TestDocumentedPermissions(t *testing.T) {
	site := newWorkplace(t)
	for _, name := range []string{"ISSUER", "XKEY", "CALLOUT", "TOKENCHECK", "POLICY", "OPERATOR", "ADMIN"} {
		kind := nkeys.PrefixByteUser
		switch name {
		case "ISSUER":
			kind = nkeys.PrefixByteAccount
		case "XKEY":
			kind = nkeys.PrefixByteCurve
		}
		t.Setenv(name, publicKey(t, kind))
	}
	t.Setenv("PLATFORM_PASSWORD", "platform")
	site.write(t, markdown(t, "docs", "topologies.md")["Hardened topology"])
	shown, err := server.ProcessConfigFile(filepath.Join(site.dir, "nats-server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	shipped := topology.Permissions("auth", 0)
	for name, want := range map[string]topology.Grant{
		"CALLOUT": shipped.Callout, "TOKENCHECK": shipped.Tokencheck, "POLICY": shipped.Policy, "OPERATOR": shipped.Operator,
	} {
		i := slices.IndexFunc(shown.Nkeys, func(u *server.NkeyUser) bool { return u.Nkey == os.Getenv(name) })
		if i < 0 {
			t.Errorf("%s is not shown", name)
			continue
		}
		p := shown.Nkeys[i].Permissions
		if got := p.Subscribe.Allow; !equal(got, want.Subscribe) {
			t.Errorf("%s may subscribe to %v where shipped, and is shown with %v", name, want.Subscribe, got)
		}
		if got := p.Publish.Allow; !equal(got, want.Publish) {
			t.Errorf("%s may publish on %v where shipped, and is shown with %v", name, want.Publish, got)
		}
		var replies *server.ResponsePermission
		if want.Replies > 0 {
			replies = &server.ResponsePermission{MaxMsgs: 5, Expires: want.Replies}
		}
		if got := p.Response; !reflect.DeepEqual(got, replies) {
			t.Errorf("%s may answer %+v where shipped, and is shown with %+v", name, replies, got)
		}
		if len(want.Publish) == 0 && !slices.Equal(p.Publish.Deny, []string{">"}) {
			t.Errorf("%s is not shown with a denial of everything: an empty list means all", name)
		}
	}
}

// TestReadme runs the README's commands: the first start of standalone; its files with nats-server and the services as
// processes of their own, which is what "the same files" means; and every make target that is named.
func TestReadme(t *testing.T) {
	t.Parallel()
	text := document(t, "README.md")
	site := newWorkplace(t)
	first := regexp.MustCompile(`(?m)^ +bin/standalone -data \./data (.*)$`).FindStringSubmatch(text)
	if first == nil {
		t.Fatal("no first start of standalone is shown")
	}
	arguments := strings.Fields(site.own(first[1]))
	data := filepath.Join(site.dir, "data")
	p := cluster.Run(t, exec.Command(cluster.Binary(t, "standalone"), append([]string{"-data", data, "-listen", site.address}, arguments...)...))
	p.Wrote(t, `"msg":"ready"`)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	site.dir = data
	// The README leaves the device id at sub; the scenarios name devices.
	edit(t, filepath.Join(data, "rules.yaml"), `"sub"`, `"device_id"`)
	cluster.Run(t, site.shell("exec nats-server -c nats-server.conf")).Wrote(t, "Server is ready")
	site.serve(t, strings.ReplaceAll(text, "bin/", ""))
	password, err := os.ReadFile(filepath.Join(data, "keys", "platform.password"))
	if err != nil {
		t.Fatal(err)
	}
	site.scenarios(t, nats.UserInfo(topology.PlatformUser, string(password)))
}

// TestMakeTargets wants every target that a document names to exist.
func TestMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := document(t, "Makefile")
	pages, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join("..", "README.md"), filepath.Join("..", "ARCHITECTURE.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^ +|`)make ([a-z-]+)").FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s names make %s, which does not exist", page, m[1])
			}
		}
	}
}

// TestDirectories wants README and ARCHITECTURE to say what every module and every package of shared is, and their links to lead
// somewhere.
func TestDirectories(t *testing.T) {
	t.Parallel()
	packages, err := filepath.Glob(filepath.Join("..", "shared", "*"))
	if err != nil || len(packages) == 0 {
		t.Fatal(err)
	}
	for page, parents := range map[string][]string{"README.md": {"services", "shared"}, "ARCHITECTURE.md": {"shared"}} {
		text := document(t, page)
		for _, m := range regexp.MustCompile(`(?m)^\t\./(\S+)$`).FindAllStringSubmatch(document(t, "go.work"), -1) {
			named := strings.Contains(text, "`"+m[1]+"`")
			if parent, _, _ := strings.Cut(m[1], "/"); slices.Contains(parents, parent) {
				named = named || strings.Contains(text, "`"+parent+"/")
			}
			if !named {
				t.Errorf("%s does not say what %s is", page, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	for _, doc := range packages {
		if info, err := os.Stat(doc); err != nil || !info.IsDir() {
			continue
		}
		if name := "shared/" + filepath.Base(doc); !strings.Contains(document(t, "ARCHITECTURE.md"), name) {
			t.Errorf("ARCHITECTURE.md does not say what %s is", name)
		}
	}
}

// workplace is the directory in which somebody follows a document.
type workplace struct {
	dir, path, address string
	issuer             *oidctest.Issuer
}

func newWorkplace(t *testing.T) *workplace {
	t.Helper()
	programs := filepath.Dir(cluster.Binary(t, "nk"))
	for _, name := range append([]string{"nats-server", "standalone"}, cluster.Services()...) {
		cluster.Binary(t, name)
	}
	return &workplace{
		dir: t.TempDir(), path: programs + string(os.PathListSeparator) + os.Getenv("PATH"),
		address: cluster.FreeAddress(t), issuer: oidctest.New(t),
	}
}

// own replaces what a document shows for an operator's own values.
func (w *workplace) own(text string) string {
	return strings.NewReplacer(shownAddress, w.address, shownIssuer, w.issuer.URL, shownProject, oidctest.Project).Replace(text)
}

// write writes the blocks that begin with a file's name, and returns those that are commands.
func (w *workplace) write(t *testing.T, blocks []block) (commands []string) {
	t.Helper()
	for _, b := range blocks {
		if b.language == "sh" {
			commands = append(commands, b.text)
			continue
		}
		name := regexp.MustCompile(`^# (\S+)\n`).FindStringSubmatch(b.text)
		if name == nil {
			t.Fatalf("a block without a file's name:\n%s", b.text)
		}
		if err := os.WriteFile(filepath.Join(w.dir, name[1]), []byte(w.own(b.text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return commands
}

func (w *workplace) shell(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "PATH="+w.path)
	return cmd
}

// serve checks and starts the three services by the commands that text shows.
func (w *workplace) serve(t *testing.T, text string) {
	t.Helper()
	for _, service := range cluster.Services() {
		command := regexp.MustCompile(`(?m)^ *(` + service + ` +-config \S+)$`).FindStringSubmatch(text)
		if command == nil {
			t.Fatalf("no command starts %s:\n%s", service, text)
		}
		if out, err := w.shell(command[1] + " -check-config").CombinedOutput(); err != nil {
			t.Errorf("%s -check-config: %v: %s", command[1], err, out)
		}
		cluster.Run(t, w.shell("exec "+command[1])).Wrote(t, `"msg":"serving"`)
	}
}

// scenarios are the reference flow's.
func (w *workplace) scenarios(t *testing.T, platform nats.Option) {
	t.Helper()
	for _, s := range scenario.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			s.Run(t, scenario.Site{URLs: []string{"nats://" + w.address}, Platform: platform, Token: w.issuer.Token})
		})
	}
}

// block is a fenced one.
type block struct{ language, text string }

// markdown returns the fenced blocks of a document by the heading that they are under.
func markdown(t *testing.T, path ...string) map[string][]block {
	t.Helper()
	sections := map[string][]block{}
	parts := regexp.MustCompile(`(?m)^## `).Split(document(t, path...), -1)
	fence := regexp.MustCompile("(?s)\n```(\\w*)\n(.*?)```\n")
	for _, part := range parts {
		heading, body, _ := strings.Cut(part, "\n")
		for _, m := range fence.FindAllStringSubmatch(body, -1) {
			sections[heading] = append(sections[heading], block{m[1], m[2]})
		}
	}
	return sections
}

func document(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func edit(t *testing.T, file, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(text), old) {
		err = fmt.Errorf("%s has no %q", file, old)
	}
	if err == nil {
		err = os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, replacement)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func equal(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func publicKey(t *testing.T, kind nkeys.PrefixByte) string {
	t.Helper()
	pair, err := nkeys.CreatePair(kind)
	if kind == nkeys.PrefixByteCurve {
		pair, err = nkeys.CreateCurveKeys()
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
