package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/services/policy/command"
)

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// guide runs the pages' blocks in their order: yaml and json that begin with "# NAME" are files, sh are commands, and text is
// what the commands before it print, among other things.
type guide struct {
	t       *testing.T
	cluster *cluster.Cluster
	nc      *nats.Conn // of an operator
	printed string
}

// TestPolicyGuide does what the guide says.
func TestPolicyGuide(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "policy-guide.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(page), -1)
	t.Chdir(t.TempDir())
	files := map[string]string{}
	for _, b := range blocks {
		if name, text, ok := strings.Cut(strings.TrimPrefix(b[2], "# "), "\n"); ok && (b[1] == "yaml" || b[1] == "json") {
			files[name] = text
		}
	}
	c := cluster.Start(t, cluster.Options{Shape: cluster.Reference(), Rules: files["rules.yaml"]})
	files["operator.yaml"] = strings.ReplaceAll(files["operator.yaml"], "nats://127.0.0.1:4222", c.URLs()[0])
	files["auth.password"], files["device.token"] = "auth", c.Token(t, "sensor-a")
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := &guide{t: t, cluster: c, nc: c.Connect(t, c.Operator(t))}
	commands := 0
	for _, b := range blocks {
		switch b[1] {
		case "sh":
			g.printed = ""
			for line := range strings.Lines(b[2]) {
				g.run(strings.TrimSpace(line))
				commands++
			}
		case "text":
			for line := range strings.Lines(b[2]) {
				if want := strings.TrimSpace(line); !strings.Contains(g.printed, want) {
					t.Errorf("missing %q in\n%s", want, g.printed)
				}
			}
		}
	}
	if commands < 12 {
		t.Errorf("the guide has %d commands", commands)
	}
}

// words splits a command as a shell does, as far as the guide goes.
var words = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

func (g *guide) run(line string) {
	g.t.Helper()
	var input []byte
	for stage := range strings.SplitSeq(line, " | ") {
		args := words.FindAllString(stage, -1)
		for i := range args {
			args[i] = strings.Trim(args[i], `'"`)
		}
		input = g.stage(line, args, input)
	}
	g.printed += string(input) + "\n"
}

// stage is one command of a pipe. A command that is not known fails the test.
func (g *guide) stage(line string, args []string, input []byte) []byte {
	g.t.Helper()
	switch {
	case args[0] == "policy":
		return g.policy(args[1:])
	case args[0] == "printf" && len(args) == 3:
		file := strings.TrimSuffix(strings.TrimPrefix(args[2], "$(cat "), ")")
		text, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		return []byte(strings.ReplaceAll(args[1], "%s", strings.TrimSpace(string(text))))
	case strings.HasPrefix(line, "nats sub --raw ") && len(args) == 6 && args[4] == ">":
		return g.record(args[3], args[5])
	case args[0] == "nats" && args[1] == "req" && args[2] == "--raw":
		if len(args) == 5 {
			input = []byte(args[4])
		}
		m, err := g.nc.Request(args[3], input, cluster.Patience)
		if err != nil {
			g.t.Fatalf("%s: %v", line, err)
		}
		return m.Data
	case args[0] == "nats" && args[1] == "kv":
		g.kv(args[2:])
		return nil
	}
	g.t.Fatalf("%q: no such command in this test", line)
	return nil
}

func (g *guide) policy(args []string) []byte {
	g.t.Helper()
	var out bytes.Buffer
	want := 0
	if args[0] == "diff" {
		want = 1 // there are differences
	}
	if code := command.Run(g.t.Context(), args, &out, &out); code != want {
		g.t.Errorf("policy %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out.String())
	}
	return out.Bytes()
}

// record writes the request of one login to a file.
func (g *guide) record(subject, file string) []byte {
	g.t.Helper()
	sub, err := g.nc.SubscribeSync(subject)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.nc.Flush(); err != nil {
		g.t.Fatal(err)
	}
	g.cluster.Connect(g.t, nats.Token(g.cluster.Token(g.t, "sensor-a")))
	m, err := sub.NextMsg(cluster.Patience)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := sub.Unsubscribe(); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(file, append(m.Data, '\n'), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return nil
}

func (g *guide) kv(args []string) {
	g.t.Helper()
	ctx := g.t.Context()
	js, err := jetstream.New(g.nc)
	if err != nil {
		g.t.Fatal(err)
	}
	if args[0] == "add" {
		if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: args[1]}); err != nil {
			g.t.Fatal(err)
		}
		return
	}
	bucket, err := js.KeyValue(ctx, args[1])
	if err != nil {
		g.t.Fatal(err)
	}
	switch args[0] {
	case "put":
		_, err = bucket.PutString(ctx, args[2], args[3])
	case "del":
		err = bucket.Delete(ctx, args[2])
	default:
		g.t.Fatalf("nats kv %s: no such command in this test", args[0])
	}
	if err != nil {
		g.t.Fatal(err)
	}
}
