package run

import (
	"os"
	"runtime/debug"
)

// gcPercent has the collector run when the heap has grown to five times of what is in use, which is a few megabytes: a
// login leaves much behind and keeps nothing.
const gcPercent = 400

// tuneCollector sets the collector's pace, unless the environment does (GOGC; GOMEMLIMIT bounds the memory in any case).
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
