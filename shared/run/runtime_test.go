package run_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/run"
)

// asProcess has this binary be a program that prints what it runs with.
const asProcess = "RUN_TEST_AS_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		run.Main(run.Program[*sample]{
			Name:      "sample",
			NewConfig: func() *sample { return &sample{} },
			Log:       func(*sample) logx.Config { return logx.Config{Format: "json"} },
			Serve: func(context.Context, *sample, *zap.Logger) error {
				processors := runtime.GOMAXPROCS(0)
				runtime.SetDefaultGOMAXPROCS()
				fmt.Println(processors, "of", runtime.GOMAXPROCS(0), "gc", debug.SetGCPercent(-1))
				return nil
			},
		})
	}
	os.Exit(m.Run())
}

// TestRuntime: a process takes half of the processors and collects late, unless the environment says otherwise.
func TestRuntime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte("name: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, env  string
		processors func(available int) int
		gc         int
	}{
		{"by itself", "", func(n int) int { return max(1, n/2) }, 400},
		{"GOMAXPROCS", "GOMAXPROCS=3", func(int) int { return 3 }, 400},
		{"GOGC", "GOGC=50", func(n int) int { return max(1, n/2) }, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-config", file)
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); name != "GOMAXPROCS" && name != "GOGC" {
					cmd.Env = append(cmd.Env, e)
				}
			}
			cmd.Env = append(cmd.Env, asProcess+"=1", tt.env)
			out, err := cmd.Output()
			var processors, available, gc int
			if _, scanned := fmt.Sscanf(string(out), "%d of %d gc %d", &processors, &available, &gc); err != nil || scanned != nil {
				t.Fatalf("%q, %v, %v", out, err, scanned)
			}
			if processors != tt.processors(available) || gc != tt.gc {
				t.Errorf("%s", out)
			}
		})
	}
}
