package run_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
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
				used := runtime.GOMAXPROCS(0)
				runtime.SetDefaultGOMAXPROCS()
				fmt.Println(used, "of", runtime.GOMAXPROCS(0), "gc", debug.SetGCPercent(-1), "memory", debug.SetMemoryLimit(-1))
				return nil
			},
		})
	}
	os.Exit(m.Run())
}

func TestProcessors(t *testing.T) {
	for _, tt := range []struct{ host, allowed, want int }{{1, 1, 1}, {2, 2, 1}, {2, 1, 1}, {3, 3, 1}, {4, 4, 2}, {16, 16, 8}, {16, 2, 2}, {16, 12, 8}} {
		if got := run.Processors(tt.host, tt.allowed); got != tt.want {
			t.Errorf("%d of %d, of which %d are allowed: %d, want %d", got, tt.host, tt.allowed, got, tt.want)
		}
	}
}

// TestRuntime: a process takes its share of the processors, collects late and stays within its memory, unless the environment says otherwise.
func TestRuntime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte("name: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, env  string
		processors int // 0: its share
		gc         int
		memory     int64 // 0: the container's
	}{
		{"by itself", "", 0, 400, 0},
		{"GOMAXPROCS", "GOMAXPROCS=3", 3, 400, 0},
		{"GOGC", "GOGC=50", 0, 50, 0},
		{"GOMEMLIMIT", "GOMEMLIMIT=123MiB", 0, 400, 123 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-config", file)
			for _, e := range os.Environ() {
				if name, _, _ := strings.Cut(e, "="); name != "GOMAXPROCS" && name != "GOGC" && name != "GOMEMLIMIT" {
					cmd.Env = append(cmd.Env, e)
				}
			}
			cmd.Env = append(cmd.Env, asProcess+"=1", tt.env)
			out, err := cmd.Output()
			var used, allowed, gc int
			var memory int64
			if _, scanned := fmt.Sscanf(string(out), "%d of %d gc %d memory %d", &used, &allowed, &gc, &memory); err != nil || scanned != nil {
				t.Fatalf("%q, %v, %v", out, err, scanned)
			}
			want := tt.processors
			if want == 0 {
				want = run.Processors(runtime.NumCPU(), allowed)
			}
			wantMemory := tt.memory
			if wantMemory == 0 {
				wantMemory = ownLimit()
			}
			if used != want || gc != tt.gc || memory != wantMemory {
				t.Errorf("%s, want %d, %d and %d", out, want, tt.gc, wantMemory)
			}
		})
	}
}

// ownLimit is nine tenths of what this process may use, as a container or the system's manager says; without that there is no limit.
func ownLimit() int64 {
	limit, err := memlimit.FromCgroup()
	if err != nil {
		return math.MaxInt64
	}
	return int64(min(float64(limit)*0.9, math.MaxInt64))
}
