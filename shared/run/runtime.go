package run

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent has the collector run when the heap has grown to five times of what is in use, which is a few megabytes: a
// login leaves much behind and keeps nothing.
const gcPercent = 400

// tuneRuntime sets the collector's pace, the memory that it aims at when a container has a limit, and the number of processors, each
// unless the environment does (GOGC, GOMEMLIMIT, GOMAXPROCS). It is for a process, not for a test of one.
func tuneRuntime() {
	// Nine tenths of the limit. Where none can be read none is set; the metric go_gc_gomemlimit_bytes shows what is.
	_, _ = memlimit.Set()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors(runtime.NumCPU(), runtime.GOMAXPROCS(0)))
	}
}

// processors returns how many of a host's processors a service uses: half of them, and no more than it may, which a container's limit
// says. The rest is for nats-server, which works more on a login than all services together. With more a service that is
// woken for each message spends a tenth more on waking its own threads, and they stand in nats-server's way (docs/performance.md). It is
// decided once: a limit that is changed later counts from the next start on.
func processors(host, allowed int) int { return max(1, min(allowed, host/2)) }
