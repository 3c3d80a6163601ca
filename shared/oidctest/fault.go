package oidctest

import (
	"net/http"
	"sync"
)

// faults is how the provider misbehaves at the moment.
type faults struct {
	mu      sync.Mutex // guards handler and stalled
	handler http.HandlerFunc
	stalled chan struct{}
}

// answer lets the fault in force answer in place of the provider.
func (f *faults) answer(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	h := f.handler
	f.mu.Unlock()
	if h == nil {
		return false
	}
	h(w, r)
	return true
}

func (f *faults) set(h http.HandlerFunc, stalled chan struct{}) {
	f.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handler, f.stalled = h, stalled
}

// release lets go of requests that are stalled.
func (f *faults) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stalled != nil {
		close(f.stalled)
	}
	f.handler, f.stalled = nil, nil
}

// Heal ends every fault.
func (i *Issuer) Heal() { i.faults.set(nil, nil) }

// Fail answers every request with this status.
func (i *Issuer) Fail(status int) {
	i.faults.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
}

// Garbage answers every request with 200 and this content.
func (i *Issuer) Garbage(contentType, body string) {
	i.faults.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body)) // a client that has gone is the test's business
	}, nil)
}

// Stall accepts requests and answers none until Heal.
func (i *Issuer) Stall() {
	stalled := make(chan struct{})
	i.faults.set(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stalled:
		case <-r.Context().Done():
		}
	}, stalled)
}

// Handle answers every request with h: slow bodies, huge ones, redirects.
func (i *Issuer) Handle(h http.HandlerFunc) { i.faults.set(h, nil) }
