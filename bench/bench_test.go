package bench

import (
	"bufio"
	"io"
	"log"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peer answers each connection with what its script says after CONNECT.
func peer(t *testing.T, script func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Write([]byte("INFO {}\r\n"))
				line, _ := bufio.NewReader(c).ReadString('\n')
				if strings.HasPrefix(line, "CONNECT ") && strings.Contains(line, `"auth_token":"abc"`) {
					script(c)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestAttempt(t *testing.T) {
	for name, test := range map[string]struct {
		client Client
		script func(net.Conn)
		want   Outcome
	}{
		"admitted":            {Client{Patience: time.Minute}, func(c net.Conn) { _, _ = c.Write([]byte("PONG\r\n")) }, Admitted},
		"refused":             {Client{Patience: time.Minute}, func(c net.Conn) { _, _ = c.Write([]byte("-ERR 'Authorization Violation'\r\n")) }, Refused},
		"hung up":             {Client{Patience: time.Minute}, func(net.Conn) {}, HungUp},
		"no answer":           {Client{Patience: 50 * time.Millisecond}, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, TimedOut},
		"a PING in mid-shake": {Client{Patience: time.Minute}, func(c net.Conn) { _, _ = c.Write([]byte("PING\r\n")) }, Broken},
		"a PING that is answered": {Client{Patience: time.Minute, AnswersPing: true}, func(c net.Conn) {
			_, _ = c.Write([]byte("PING\r\n"))
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if lines.Text() == "PONG" {
					_, _ = c.Write([]byte("PONG\r\n"))
					return
				}
			}
		}, Admitted},
	} {
		t.Run(name, func(t *testing.T) {
			got, conn := test.client.connect(peer(t, test.script), Credentials{Token: "abc"}.handshake())
			if conn != nil {
				hangUp(conn)
			}
			if got != test.want || (conn != nil) != (test.want == Admitted) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// TestStormCounts: of three clients one is in at once, one after it was hung up on twice, one is refused twice and lost.
func TestStormCounts(t *testing.T) {
	answers := map[string][]string{
		"good": {"PONG\r\n"}, "late": {"", "", "PONG\r\n"}, "bad": {"-ERR 'Authorization Violation'\r\n", "-ERR 'Authorization Violation'\r\n"},
	}
	turn := make(chan map[string][]string, 1)
	turn <- answers
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = c.Write([]byte("INFO {}\r\n"))
				line, _ := bufio.NewReader(c).ReadString('\n')
				left := <-turn
				for name, list := range left {
					if strings.Contains(line, name) && len(list) > 0 {
						_, _ = c.Write([]byte(list[0]))
						left[name] = list[1:]
						if list[0] != "PONG\r\n" {
							_ = c.Close()
						}
					}
				}
				turn <- left
			}()
		}
	}()
	fleet := Fleet{Clients: 3, Client: Client{Patience: time.Minute}, Wait: time.Millisecond, Limit: time.Minute}
	var handshakes [][]byte
	for name := range answers {
		handshakes = append(handshakes, Credentials{Token: name}.handshake())
	}
	s := &System{Addr: l.Addr().String()}
	storm, err := RunStorm("test", s, fleet, handshakes)
	if err != nil {
		t.Fatal(err)
	}
	if storm.Admitted != 2 || storm.Lost != 1 || storm.Attempts != 6 || storm.Outcomes["hung_up"] != 2 || storm.Outcomes["refused"] != 2 {
		t.Errorf("%+v", storm)
	}
	if storm.Seconds[50] == 0 || storm.Seconds[100] != 0 {
		t.Errorf("shares %v: half were in, not all", storm.Seconds)
	}
}

// buildSelf builds the command, whose parts the lab starts.
func buildSelf(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/bench").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestFloodCountsItsOwnTime: who is admitted when the flood is over is admitted, and no part of what was admitted a second.
func TestFloodCountsItsOwnTime(t *testing.T) {
	const lasts, perSecond = 2 * stormBucket, 20 // and a client waits for 2 s
	for name, test := range map[string]struct {
		answerAfter time.Duration
		counted     bool
	}{"at once": {0, true}, "when it is over": {2 * lasts, false}} {
		t.Run(name, func(t *testing.T) {
			answer := time.Now().Add(test.answerAfter)
			addr := peer(t, func(c net.Conn) {
				time.Sleep(time.Until(answer)) // a peer that is slow: real sockets know no other clock
				_, _ = c.Write([]byte("PONG\r\n"))
			})
			f, err := RunFlood("test", &System{Addr: addr}, [][]byte{Credentials{Token: "abc"}.handshake()}, perSecond, 1, lasts)
			if err != nil {
				t.Fatal(err)
			}
			if f.Outcomes["admitted"] != 10 || (f.Goodput > 0) != test.counted || f.Share != f.Goodput/perSecond {
				t.Errorf("%v a second, %v of the capacity, %v", f.Goodput, f.Share, f.Outcomes)
			}
		})
	}
}

func TestPercentileAndMedian(t *testing.T) {
	var list []time.Duration
	for i := range 100 {
		list = append(list, time.Duration(i))
	}
	if percentile(list, 50) != 50 || percentile(list, 99) != 99 || percentile(nil, 99) != 0 {
		t.Error("percentile")
	}
	if median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1, 2, 3}) != 2.5 {
		t.Error("median")
	}
}

// TestSystems starts the parts that need no other program and has a client of each admitted.
func TestSystems(t *testing.T) {
	lab, err := NewLab(t.TempDir(), buildSelf(t), "")
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Provider.Close()
	conditions, stop, err := lab.Conditions(5, 1, func(key string) bool { return len(Programs(key)) == 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	rows, err := Speed{Rounds: 1, Connects: 5, Workers: 2, Progress: log.New(t.Output(), "", 0)}.Run(conditions)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Errorf("%d rows, want a, b and b-xkey", len(rows))
	}
	for _, r := range rows {
		if r.Median.Connects != 5 {
			t.Errorf("%s: %d of 5 admitted: %v", r.Name, r.Median.Connects, r.Median.Failed)
		}
	}
	report := NewReport()
	report.Speed = rows
	if err := report.PrintSpeed(t.Output()); err != nil {
		t.Error(err)
	}
	if svg := string(report.PlotSpeed()); !strings.Contains(svg, "smallest callout, xkey") {
		t.Error("the plot lacks a row")
	}
}
