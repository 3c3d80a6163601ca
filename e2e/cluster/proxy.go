package cluster

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy is the network between a service and a server: TCP on loopback that can be cut. Safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string

	mu   sync.Mutex // guards the rest
	cond *sync.Cond
	cut  bool
	open map[net.Conn]struct{} // nil once closed
}

// NewProxy forwards to the server at url, until the test ends.
func NewProxy(t testing.TB, url string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: strings.TrimPrefix(url, "nats://"), open: map[net.Conn]struct{}{}}
	p.cond = sync.NewCond(&p.mu)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// URL is the proxy's address.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Cut has nothing pass any more. The connections stay, as with a broken switch: both ends only see silence.
func (p *Proxy) Cut() { p.set(true) }

// Mend lets everything pass again, what was sent meanwhile first.
func (p *Proxy) Mend() { p.set(false) }

func (p *Proxy) set(cut bool) {
	p.mu.Lock()
	p.cut = cut
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(near, far) {
			_ = near.Close() // the client sees that nobody listens
			continue
		}
		go p.copy(near, far)
		go p.copy(far, near)
	}
}

// keep remembers the two ends of one connection.
func (p *Proxy) keep(ends ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range ends {
		if p.open == nil {
			_ = c.Close() // the test is over
			continue
		}
		p.open[c] = struct{}{}
	}
	return p.open != nil
}

// copy passes bytes on in one direction until an end closes, and closes both.
func (p *Proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.wait()
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close() // the other direction closes them too
	p.mu.Lock()
	delete(p.open, to)
	delete(p.open, from)
	p.mu.Unlock()
}

// wait returns when the network is whole.
func (p *Proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut {
		p.cond.Wait()
	}
}

func (p *Proxy) close() {
	p.set(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range append([]io.Closer{p.listener}, closers(p.open)...) {
		_ = c.Close() // nothing more is expected of it
	}
	p.open = nil
}

func closers(conns map[net.Conn]struct{}) []io.Closer {
	all := make([]io.Closer, 0, len(conns))
	for c := range conns {
		all = append(all, c)
	}
	return all
}
