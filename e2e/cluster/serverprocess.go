package cluster

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"testing"
)

// serverProcess is nats-server as a process of its own: for tests that stop it while clients log in, which the server in a
// test's process does not always survive.
type serverProcess struct {
	monitor, address string // HOST:PORT; clients connect to address
	log              *Log
	life             *process // nil while it does not run
}

func (p *serverProcess) start(t testing.TB, file string) {
	t.Helper()
	p.life = startNATS(t, file, p.log)
	Eventually(t, "nats-server answers", func() bool {
		select {
		case <-p.life.ended():
			t.Fatalf("nats-server has ended:\n%s", p.log.Tail(20))
		default:
		}
		// The monitor answers before clients are accepted.
		if _, err := p.variables(); err != nil {
			return false
		}
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return false
		}
		_ = conn.Close() // nothing was sent
		return true
	})
}

func startNATS(t testing.TB, file string, out *Log) *process {
	t.Helper()
	cmd := exec.Command(Binary(t, "nats-server"), "-c", file) //nolint:gosec // a program that the harness built
	return startProcess(t, cmd, out)
}

// stop kills it: clients see a closed connection.
func (p *serverProcess) stop() {
	if p.life != nil {
		_ = p.life.cmd.Process.Kill() // it may have ended
		<-p.life.done
		p.life = nil
	}
}

// serverVariables is the part of /varz and /jsz that the harness looks at.
type serverVariables struct {
	Remotes int `json:"remotes"`
	// Leader and Replicas are JetStream's.
	Leader   string `json:"leader"`
	Replicas []struct {
		Current bool `json:"current"`
	} `json:"replicas"`
}

// variables asks the server how many others it knows.
func (p *serverProcess) variables() (v serverVariables, err error) {
	if err = p.get("/varz", &v); err != nil {
		return v, err
	}
	var jetstream struct {
		Meta *serverVariables `json:"meta_cluster"`
	}
	if err = p.get("/jsz", &jetstream); err == nil && jetstream.Meta != nil {
		v.Leader, v.Replicas = jetstream.Meta.Leader, jetstream.Meta.Replicas
	}
	return v, err
}

func (p *serverProcess) get(path string, into any) error {
	response, err := http.Get("http://" + p.monitor + path)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
