package standalone_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/standalone"
)

// TestNoTokenInTheLog: at the chattiest level, with everything that nats-server can be told to trace, no entry of the process
// holds a token or a part of one, wherever a client puts it.
func TestNoTokenInTheLog(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	p := start(t, b.first()...)
	p.ready(t)
	p.terminate(t)
	b.edit(t, standalone.ServerFile, "max_control_line", "debug: true\ntrace: true\nmax_control_line")
	b.edit(t, standalone.CalloutFile, "client_patience", "log: {level: debug, format: json}\nclient_patience")
	p = start(t, "-data", b.dir)
	url := p.ready(t)
	token := b.issuer.Token(t, "sensor-a")
	b.device(t, url, "sensor-a").Close()
	connect(t, url, nats.Token(token), nats.Name(token)).Close()
	for _, line := range []string{
		`CONNECT {"jwt":"` + token + `"}`,
		`CONNECT {"auth_\u0074oken":"` + token + `"}`,
		`CONNECT {"AUTH_TOKEN":"` + token + `"}`,
		`CONNECT {"name":"` + token + `","user":"` + token + `","pass":"` + token + `"}`,
		`CONNECT {"auth_token":"` + token + `"`,
		`CONNECT {"auth_token":"` + token + `","name":"` + strings.Repeat("x", 30_000) + `"}`,
		`CONNECT{"auth_token":"` + token + `"}`,
		`CONECT {"a":"` + token + `"}`,
		token,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if _, err := r.ReadString('\n'); err != nil { // INFO
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "%s\r\nPING\r\n", line); err != nil {
			t.Fatal(err)
		}
		for answer := ""; !strings.HasPrefix(answer, "PONG") && !strings.HasPrefix(answer, "-ERR"); { // or nothing more
			if answer, err = r.ReadString('\n'); err != nil {
				break
			}
		}
		_ = conn.Close() // the server may have done so
	}
	p.terminate(t)
	log := p.stderr.String()
	for _, traced := range []string{"<<- [CONNECT", "MSG_PAYLOAD: [redacted]", "Client parser ERROR", `"msg":"decision"`} {
		if !strings.Contains(log, traced) {
			t.Errorf("the log has no %s: it shows nothing", traced)
		}
	}
	// Of each part its first characters: entries quote beginnings. The first of all say only that a JWT begins.
	for part := range strings.SplitSeq(token, ".") {
		if i := strings.Index(log, part[:12]); i >= 0 {
			t.Errorf("a part of the token is in the log: %.200s", log[max(0, i-150):])
		}
	}
}
