package monitor

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

const (
	// profileTimeout lets a profile be taken over half a minute, the default of its reader.
	profileTimeout = 2 * time.Minute
	// Contention is sampled once in so many events, blocked time once in so many nanoseconds.
	mutexFraction = 10
	blockRate     = 10_000
)

// withProfiles serves Go's profiles besides next, and has contention sampled from now on.
func withProfiles(next http.Handler) http.Handler {
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
