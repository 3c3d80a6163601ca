package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Who connects past the callout: the service user and, for condition (a), a user with a password.
const (
	serviceUser     = "auth"
	servicePassword = "auth"
	plainUser       = "device"
	plainPassword   = "device"
)

// Lab holds what all systems under test share.
type Lab struct {
	Dir      string // for files; the caller removes it
	Self     string // this program, which runs server and smallest callout when asked to
	Bin      string // directory of the services' binaries
	Provider *Provider
	// AuthTimeout is the servers' authorization.timeout in whole seconds; 0 is the server's own, 2 s.
	AuthTimeout int

	issuer, xkey string // public keys; the seeds are in files of Dir
}

// NewLab makes keys and starts the provider.
func NewLab(dir, self, bin string) (*Lab, error) {
	l := &Lab{Dir: dir, Self: self, Bin: bin}
	var err error
	if l.issuer, err = writeSeed(l.file("issuer.nk"), nkeys.CreateAccount); err != nil {
		return nil, err
	}
	if l.xkey, err = writeSeed(l.file("callout.xk"), nkeys.CreateCurveKeys); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.file("auth.password"), []byte(servicePassword), 0o600); err != nil {
		return nil, err
	}
	l.Provider, err = NewProvider()
	return l, err
}

func (l *Lab) file(name string) string { return filepath.Join(l.Dir, name) }

func writeSeed(file string, create func() (nkeys.KeyPair, error)) (public string, err error) {
	kp, err := create()
	if err != nil {
		return "", err
	}
	seed, err := kp.Seed()
	if err != nil {
		return "", err
	}
	if public, err = kp.PublicKey(); err != nil {
		return "", err
	}
	return public, os.WriteFile(file, seed, 0o600)
}

// System is one set of processes that admits connections.
type System struct {
	Name string
	Addr string

	lab       *Lab
	server    *process
	config    string // of nats-server
	processes []*process
	// answered asks the callout; nil where there is none.
	answered func(*nats.Conn) (int64, error)
	// monitors are the addresses of the services' monitors, with Options.Profiles.
	monitors map[string]string
}

// Options choose a variant of a system.
type Options struct {
	XKey      bool          // requests are sealed
	Kick      bool          // the callout may ask the server to close a connection
	MaxBudget time.Duration // of the callout; 0 is its default
	// PerRequest has the smallest callout start a goroutine for each request.
	PerRequest bool
	Replicas   int // of each service; 0 is one
	// Profiles has each service serve its profiles.
	Profiles bool
}

// Plain starts a nats-server with user and password and no callout.
func (l *Lab) Plain() (*System, error) {
	return l.start("user and password", Options{}, false, nil)
}

// Smallest starts a nats-server and the smallest callout.
func (l *Lab) Smallest(o Options) (*System, error) {
	name := "smallest callout"
	if o.PerRequest {
		name += ", a goroutine a request"
	}
	if o.XKey {
		name += ", xkey"
	}
	return l.start(name, o, true, func(s *System) error {
		args := []string{"smallest", "-url", "nats://" + s.Addr, "-issuer", l.file("issuer.nk")}
		if o.XKey {
			args = append(args, "-xkey", l.file("callout.xk"))
		}
		if o.PerRequest {
			args = append(args, "-per-request")
		}
		s.answered = smallestAnswered
		return s.add("callout", l.Self, args...)
	})
}

// Three starts a nats-server and the three services.
func (l *Lab) Three(o Options) (*System, error) {
	name := "three processes"
	switch {
	case o.Kick:
		name += ", hang-up"
	case o.XKey:
		name += ", xkey"
	}
	return l.start(name, o, true, func(s *System) error {
		if err := l.writeServiceConfigs(s, o); err != nil {
			return err
		}
		s.answered = calloutAnswered
		for range max(1, o.Replicas) {
			for _, service := range []string{"tokencheck", "policy", "callout"} {
				if err := s.add(service, filepath.Join(l.Bin, service), "-config", s.file(service+".yaml")); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// file names a file of this system alone.
func (s *System) file(name string) string { return s.config + "." + name }

func (s *System) add(role, program string, args ...string) error {
	p, err := startProcess(s.lab.Dir, role, program, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return err
}

func (l *Lab) start(name string, o Options, callout bool, services func(*System) error) (*System, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &System{Name: name, Addr: addr, lab: l, config: l.file("server-" + addr[strings.LastIndex(addr, ":")+1:] + ".conf")}
	if err := os.WriteFile(s.config, []byte(l.serverConfig(addr, o, callout)), 0o600); err != nil {
		return nil, err
	}
	if err := s.startServer(); err != nil {
		return nil, err
	}
	if services != nil {
		err = services(s)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) startServer() error {
	p, err := startProcess(s.lab.Dir, "nats-server", s.lab.Self, "server", "-config", s.config)
	if err != nil {
		return err
	}
	s.server = p
	s.processes = append(s.processes, p)
	return s.until("nats-server listens", func() bool {
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// KillServer ends the server as a crash would; startServer brings it back on the same port.
func (s *System) KillServer() {
	s.server.kill()
	for i, p := range s.processes {
		if p == s.server {
			s.processes = append(s.processes[:i], s.processes[i+1:]...)
			return
		}
	}
}

// crash ends one process of each role but nats-server as kill -9 does, and returns the CPU time that they had used, by role, and what starts
// them again.
func (s *System) crash() (gone map[string]time.Duration, again func() error, err error) {
	var killed []*process
	roles := map[string]bool{s.server.role: true}
	s.processes = slices.DeleteFunc(s.processes, func(p *process) bool {
		if roles[p.role] {
			return false
		}
		roles[p.role] = true
		killed = append(killed, p)
		return true
	})
	gone, err = cpuOf(killed)
	delete(gone, "load") // which goes on
	for _, p := range killed {
		p.kill()
	}
	if err != nil {
		return nil, nil, err
	}
	return gone, func() error {
		for _, p := range killed {
			if err := s.add(p.role, p.cmd.Path, p.cmd.Args[1:]...); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// readyTimeout bounds the start of a system.
const readyTimeout = 30 * time.Second

// Ready waits until a client with this handshake is admitted.
func (s *System) Ready(handshake []byte) error {
	return s.until(s.Name+" admits a client", func() bool {
		outcome, conn := Client{Patience: maxPatience}.connect(s.Addr, handshake)
		if conn != nil {
			hangUp(conn)
		}
		return outcome == Admitted
	})
}

func (s *System) until(what string, ok func() bool) error {
	for deadline := time.Now().Add(readyTimeout); !ok(); time.Sleep(50 * time.Millisecond) {
		for _, p := range s.processes {
			if err := p.ended(); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still not so after %v: %s", readyTimeout, what)
		}
	}
	return nil
}

// Stop ends all processes.
func (s *System) Stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].stop()
	}
}

// Answered returns how many requests the callout has answered with an admission so far.
func (s *System) Answered() (int64, error) {
	if s.answered == nil {
		return 0, nil
	}
	nc, err := nats.Connect("nats://"+s.Addr, nats.UserInfo(serviceUser, servicePassword), nats.Timeout(maxPatience))
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	return s.answered(nc)
}

func smallestAnswered(nc *nats.Conn) (int64, error) {
	m, err := nc.Request(answeredSubject, nil, maxPatience)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(m.Data), 10, 64)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// serverConfig has the services in an account of their own, as in the hardened topology, with one user for all.
func (l *Lab) serverConfig(addr string, o Options, callout bool) string {
	head := fmt.Sprintf("listen: %q\nmax_control_line: 20480\n", addr)
	if !callout {
		return head + fmt.Sprintf("authorization { users: [ {user: %q, password: %q} ] }\n", plainUser, plainPassword)
	}
	xkey, kickImport, kickExport, timeout := "", "", "", ""
	if o.XKey {
		xkey = "xkey: " + l.xkey
	}
	if o.Kick {
		kickImport = `imports: [ {service: {account: SYS, subject: "$SYS.REQ.SERVER.*.KICK"}, to: "auth.kick.*"} ]`
		kickExport = `exports: [ {service: "$SYS.REQ.SERVER.*.KICK", accounts: [AUTH]} ]`
	}
	if l.AuthTimeout > 0 {
		timeout = fmt.Sprintf("timeout: %d", l.AuthTimeout)
	}
	return head + fmt.Sprintf(`accounts {
  AUTH: {
    users: [ {user: %q, password: %q} ]
    %s
  }
  DEVICES: {}
  SYS: { %s }
}
system_account: SYS
authorization {
  %s
  auth_callout {
    issuer: %s
    %s
    account: AUTH
    auth_users: [ %q ]
  }
}
`, serviceUser, servicePassword, kickImport, kickExport, timeout, l.issuer, xkey, serviceUser)
}

// Handshakes returns n of them with the tokens of other devices each.
func (l *Lab) Handshakes(algorithm string, n int) ([][]byte, error) {
	tokens, err := l.Provider.Tokens(algorithm, n)
	if err != nil {
		return nil, err
	}
	hs := make([][]byte, n)
	for i, token := range tokens {
		hs[i] = Credentials{Token: token}.handshake()
	}
	return hs, nil
}

// Passwords returns n handshakes for a system without a callout.
func (l *Lab) Passwords(n int) [][]byte {
	return Repeat([][]byte{Credentials{User: plainUser, Password: plainPassword}.handshake()}, n)
}

// Repeat returns n handshakes, taken from hs in turn.
func Repeat(hs [][]byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = hs[i%len(hs)]
	}
	return out
}

// Main runs a part under test when args name one; ok is false when they do not.
func Main(ctx context.Context, args []string) (ok bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	switch args[0] {
	case "server":
		return true, mainServer(ctx, args[1:])
	case "mute":
		return true, mainMute(ctx, args[1:])
	case "smallest":
		return true, mainSmallest(ctx, args[1:])
	}
	return false, nil
}

var errNoConfig = errors.New("-config is missing")
