package run

import (
	"os"
	"runtime"
	"runtime/debug"
)

// gcPercent has the collector run when the heap has grown to five times of what is in use, which is a few megabytes: a
// login leaves much behind and keeps nothing.
const gcPercent = 400

// tuneRuntime sets the collector's pace and the number of processors, each unless the environment does (GOGC, GOMAXPROCS; GOMEMLIMIT
// bounds the memory in any case). It is for a process, not for a test of one.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(share(runtime.GOMAXPROCS(0)))
	}
}

// share returns how many of the processors that a process may use it does use: half of them. The rest is for nats-server, which
// works more on a login than all services together, and for the other services. With more a service that is woken for each message spends
// a tenth more on waking its own threads, and they stand in nats-server's way (docs/performance.md).
func share(available int) int { return max(1, available/2) }
