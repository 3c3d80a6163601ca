package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Outcome is what became of one attempt to connect.
type Outcome int

// The outcomes of an attempt.
const (
	Admitted Outcome = iota
	Refused          // the server said so: an authorization error
	HungUp           // the connection was closed without a word
	TimedOut         // the client's own patience ended
	Broken           // anything else, for example a PING of the server in mid-handshake
	outcomes
)

var outcomeNames = [outcomes]string{"admitted", "refused", "hung_up", "timed_out", "broken"}

func (o Outcome) String() string { return outcomeNames[o] }

// Credentials are what a client presents; either Token or User and Password.
type Credentials struct {
	Token    string `json:"auth_token,omitempty"`
	User     string `json:"user,omitempty"`
	Password string `json:"pass,omitempty"`
}

// handshake is CONNECT and PING, as a client library sends them.
func (c Credentials) handshake() []byte {
	options := struct {
		Credentials
		Verbose      bool   `json:"verbose"`
		Pedantic     bool   `json:"pedantic"`
		Name         string `json:"name"`
		Lang         string `json:"lang"`
		Version      string `json:"version"`
		Protocol     int    `json:"protocol"`
		Echo         bool   `json:"echo"`
		Headers      bool   `json:"headers"`
		NoResponders bool   `json:"no_responders"`
	}{Credentials: c, Lang: "bench", Version: "1.0.0", Protocol: 1, Echo: true, Headers: true, NoResponders: true}
	text, _ := json.Marshal(options) // plain fields
	return append(append([]byte("CONNECT "), text...), "\r\nPING\r\n"...)
}

// Client is how a client connects. Patience is its connect timeout, for the whole of it. AnswersPing says that it goes on
// after a PING of the server in mid-handshake, which nats.go takes for an error.
type Client struct {
	Patience    time.Duration `json:"patience_ns"`
	AnswersPing bool          `json:"answers_ping,omitempty"`
}

// connect connects to addr and returns the open connection when it was admitted.
func (c Client) connect(addr string, handshake []byte) (Outcome, *net.TCPConn) {
	deadline := time.Now().Add(c.Patience)
	dialed, err := net.DialTimeout("tcp", addr, c.Patience)
	if err != nil {
		return classify("", err), nil
	}
	conn, _ := dialed.(*net.TCPConn)
	outcome := c.shakeHands(conn, handshake, deadline)
	if outcome != Admitted {
		hangUp(conn)
		return outcome, nil
	}
	return Admitted, conn
}

func (c Client) shakeHands(conn *net.TCPConn, handshake []byte, deadline time.Time) Outcome {
	if err := conn.SetDeadline(deadline); err != nil {
		return Broken
	}
	r := bufio.NewReaderSize(conn, 2<<10)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "INFO ") {
		return classify(line, err)
	}
	if _, err := conn.Write(handshake); err != nil {
		return classify("", err)
	}
	for {
		line, err := r.ReadString('\n')
		switch {
		case err == nil && strings.HasPrefix(line, "PONG"):
			return admit(conn)
		case err != nil || !c.AnswersPing || !strings.HasPrefix(line, "PING"):
			return classify(line, err)
		}
		if _, err := conn.Write([]byte("PONG\r\n")); err != nil {
			return classify("", err)
		}
	}
}

// admit lets the connection live on.
func admit(conn *net.TCPConn) Outcome {
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return Broken
	}
	return Admitted
}

// hangUp closes without leaving the port in TIME_WAIT: a few seconds of connects would use up all ports.
func hangUp(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func classify(line string, err error) Outcome {
	switch {
	case strings.HasPrefix(line, "-ERR") && strings.Contains(strings.ToLower(line), "authorization"):
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	case errors.Is(err, io.EOF), err != nil && strings.Contains(err.Error(), "connection reset"):
		return HungUp
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return TimedOut
	}
	return Broken
}
