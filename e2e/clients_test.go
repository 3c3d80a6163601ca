package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"harmony.internal/authcallout/deploy/topology"
	"harmony.internal/authcallout/e2e/cluster"
	"harmony.internal/authcallout/shared/logx"
	"harmony.internal/authcallout/shared/wire"
)

// TestWhereTheTokenIs presents a good token in every member of CONNECT that may hold it, two different ones, and none; and
// what is no token in each size.
func TestWhereTheTokenIs(t *testing.T) {
	t.Parallel()
	const ok = "PONG"
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			c := cluster.Start(t, cluster.Options{Shape: shape, Server: "max_control_line: 262144\n"})
			token, other := c.Token(t, "sensor-a"), c.Token(t, "sensor-b")
			for _, row := range []struct {
				name    string
				connect map[string]string
				reason  string // empty: let in
			}{
				{"auth_token", map[string]string{"auth_token": token}, ""},
				{"pass", map[string]string{"user": "whoever", "pass": token}, ""},
				{"pass alone", map[string]string{"pass": token}, ""},
				{"jwt", map[string]string{"jwt": token}, "no_token"}, // nats-server drops it outside operator mode (client.go, processConnect)
				{"the same in all three", map[string]string{"auth_token": token, "user": "whoever", "pass": token, "jwt": token}, ""},
				{"auth_token and pass differ", map[string]string{"auth_token": token, "user": "whoever", "pass": other}, "conflicting_tokens"},
				{"auth_token and jwt differ", map[string]string{"auth_token": token, "jwt": other}, ""},
				{"a user without a password", map[string]string{"user": "sensor-a"}, "no_token"},
				{"nothing", nil, "no_token"},
				{"empty", map[string]string{"auth_token": ""}, "no_token"},
				{"white space", map[string]string{"auth_token": " \t"}, "token_malformed"},
				{"a newline behind it", map[string]string{"auth_token": token + "\n"}, "token_malformed"},
				{"Bearer before it", map[string]string{"auth_token": "Bearer " + token}, "token_malformed"},
				{"opaque", map[string]string{"auth_token": "k7HHkd93hF4cTTsGJpxQ"}, "token_opaque"},
				{"dots", map[string]string{"auth_token": strings.Repeat(".", 10000)}, "token_opaque"},
				{"noise", map[string]string{"auth_token": strings.Repeat("\U0001f4a3", 100)}, "token_malformed"},
				{"20 KB", map[string]string{"auth_token": strings.Repeat("a", 20<<10)}, "token_too_large"},
				{"64 KB", map[string]string{"auth_token": strings.Repeat("a", 64<<10)}, "request_too_large"},
			} {
				answer := login(t, c, row.name, row.connect)
				if (answer == ok) != (row.reason == "") || (answer != ok && !strings.Contains(answer, "Authorization Violation")) {
					t.Errorf("%s: the server says %q", row.name, answer)
				}
				// A request that is too large is not read, so that its record does not know the client.
				name := row.name
				if row.reason == "request_too_large" {
					name = ""
				}
				records := c.Decided(t, name)
				if len(records) != 1 || records[0].Text(logx.Reason) != row.reason {
					t.Errorf("%s: %v, want one record with reason %q", row.name, records, row.reason)
				}
			}
			for _, r := range c.Replicas(wire.QueueCallout) {
				for part := range strings.SplitSeq(token, ".") {
					if strings.Contains(r.Log().String(), part) {
						t.Error("a part of a token is in the log")
					}
				}
			}
		})
	}
}

// TestClientsThatDoNotWait leave as soon as they have presented their token. Their requests are worked on, and harm nobody.
func TestClientsThatDoNotWait(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Shape: cluster.Sealed()})
	const gone = 40
	token := c.Token(t, "sensor-a")
	for range gone {
		conn, _ := dialRaw(t, c)
		send(t, conn, "gone", map[string]string{"auth_token": token})
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.Connect(t, nats.Token(token))
	cluster.Eventually(t, "one record for each", func() bool { return len(c.Records()) == gone+1 })
}

// dialRaw returns a connection whose INFO has been read.
func dialRaw(t *testing.T, c *cluster.Cluster) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.Servers[0].URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(cluster.Patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn, r
}

// send sends CONNECT with these members, and PING.
func send(t *testing.T, conn net.Conn, name string, members map[string]string) {
	t.Helper()
	connect := map[string]any{"name": name, "lang": "raw", "version": "1", "protocol": 1}
	for member, value := range members {
		connect[member] = value
	}
	text, err := json.Marshal(connect)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", text); err != nil {
		t.Fatal(err)
	}
}

// login returns the server's answer to CONNECT and PING: PONG, or its error.
func login(t *testing.T, c *cluster.Cluster, name string, members map[string]string) string {
	t.Helper()
	conn, r := dialRaw(t, c)
	send(t, conn, name, members)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "PONG") || strings.HasPrefix(line, "-ERR") {
			return line
		}
	}
}

// TestWebsocket logs in as a browser does: by CONNECT, and by a cookie.
func TestWebsocket(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			address := cluster.FreeAddress(t)
			c := cluster.Start(t, cluster.Options{Shape: shape, Server: fmt.Sprintf("websocket { listen: %q, no_tls: true, token_cookie: device_token }\n", address)})
			for name, option := range map[string]nats.Option{
				"connect": nats.Token(c.Token(t, "sensor-a")),
				"cookie":  nats.WebSocketConnectionHeaders(http.Header{"Cookie": {"device_token=" + c.Token(t, "sensor-a")}}),
			} {
				nc, err := nats.Connect("ws://"+address, option, nats.Name(name), nats.Timeout(cluster.Patience))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				t.Cleanup(nc.Close)
				records := c.Decided(t, name)
				if len(records) != 1 || records[0].Text(logx.ClientType) != "websocket" || records[0].Text(logx.Device) != "sensor-a" {
					t.Errorf("%s: %v", name, records)
				}
			}
			if _, err := nats.Connect("ws://"+address, nats.Token("no.token.atall"), nats.Timeout(cluster.Patience)); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("a bad token: %v", err)
			}
		})
	}
}

// TestMQTT runs the reference flow with an MQTT client, which has its token in the password.
func TestMQTT(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			address := cluster.FreeAddress(t)
			c := cluster.Start(t, cluster.Options{Shape: shape, Server: fmt.Sprintf("mqtt { listen: %q }\n", address)})
			platform := c.Connect(t, c.Platform(t))
			states, err := platform.SubscribeSync("device-state.*")
			if err = errors.Join(err, platform.FlushTimeout(cluster.Patience)); err != nil {
				t.Fatal(err)
			}
			device, err := mqttConnect(t, address, "sensor-mqtt", c.Token(t, "sensor-mqtt"))
			if err != nil {
				t.Fatal(err)
			}
			commands := make(chan string, 8)
			receive := func(_ mqtt.Client, m mqtt.Message) { commands <- string(m.Payload()) }
			if err := done(device.Subscribe("device-commands/sensor-mqtt", 0, receive)); err != nil {
				t.Fatal(err)
			}
			// Refused: the server answers with the failure code of SUBACK, and drops what is published.
			for _, topic := range []string{"device-commands/other", "device-commands/+", "#"} {
				token := device.Subscribe(topic, 0, receive)
				if err := done(token); err == nil && token.(*mqtt.SubscribeToken).Result()[topic] != 0x80 {
					t.Errorf("it may subscribe to %s", topic)
				}
			}
			if err := errors.Join(done(device.Publish("device-state/other", 0, false, "forged")), done(device.Publish("device-state/sensor-mqtt", 0, false, "21.5"))); err != nil {
				t.Fatal(err)
			}
			if m, err := states.NextMsg(cluster.Patience); err != nil || m.Subject != "device-state.sensor-mqtt" || string(m.Data) != "21.5" {
				t.Errorf("the platform received %v, %v", m, err)
			}
			if err := errors.Join(platform.Publish("device-commands.other", []byte("for another")), platform.Publish("device-commands.sensor-mqtt", []byte("restart"))); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-commands:
				if got != "restart" {
					t.Errorf("the device received %q", got)
				}
			case <-time.After(cluster.Patience):
				t.Error("the device's command did not arrive")
			}
			records := c.Decided(t, "")
			if len(records) != 1 || records[0].Text(logx.ClientType) != "mqtt" || records[0].Text(logx.MQTTClientID) != "sensor-mqtt" {
				t.Errorf("%v", records)
			}

			for name, password := range map[string]string{"not a token": "no.token.atall", "the platform's name": c.Token(t, "sensor-mqtt")} {
				user := "device"
				if name == "the platform's name" {
					user = topology.PlatformUser
				}
				if _, err := mqttConnectAs(t, address, "impostor", user, password); err == nil || !strings.Contains(strings.ToLower(err.Error()), "not authorized") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestLeafNode has a server log in as a leaf node with a device's token: refused, unless the rule names leaf nodes.
func TestLeafNode(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		for name, rules := range map[string]string{
			"default":  cluster.ReferenceRules,
			"leafnode": strings.Replace(cluster.ReferenceRules, "    publish:", "    connection_types: [leafnode]\n    publish:", 1),
		} {
			t.Run(shape.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				address := cluster.FreeAddress(t)
				c := cluster.Start(t, cluster.Options{Shape: shape, Rules: rules, Server: fmt.Sprintf("leafnodes { listen: %q }\n", address)})
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				if err := conn.SetDeadline(time.Now().Add(cluster.Patience)); err != nil {
					t.Fatal(err)
				}
				connect, err := json.Marshal(map[string]any{"user": "leaf", "pass": c.Token(t, "sensor-a"), "name": "leaf", "version": "2.15.2", "server_id": "leaf", "headers": true})
				if err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(conn)
				if _, err := r.ReadString('\n'); err != nil { // INFO
					t.Fatal(err)
				}
				if _, err := fmt.Fprintf(conn, "CONNECT %s\r\n", connect); err != nil {
					t.Fatal(err)
				}
				cluster.Eventually(t, "a decision", func() bool { return len(c.Records()) == 1 })
				record := c.Records()[0]
				outcome, reason := "denied", "connection_type_not_allowed"
				if name == "leafnode" {
					outcome, reason = "admitted", ""
				}
				if record.Text(logx.Outcome) != outcome || record.Text(logx.Reason) != reason || record.Text(logx.ClientKind) != "Leafnode" {
					t.Errorf("%v, want %s %s", record, outcome, reason)
				}
			})
		}
	}
}

// TestMQTTClientIDOfAnother: a device that comes with the client id of another, and a good token of its own, is refused and
// disturbs nobody. Where the rule admits any client id, nats-server ends the other's connection: that is why the default is
// what it is.
func TestMQTTClientIDOfAnother(t *testing.T) {
	t.Parallel()
	for _, shape := range cluster.Shapes() {
		for name, rules := range map[string]string{
			"device_id": cluster.ReferenceRules,
			"any":       strings.Replace(cluster.ReferenceRules, "    publish:", "    mqtt_client_id: any\n    publish:", 1),
		} {
			t.Run(shape.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				address := cluster.FreeAddress(t)
				c := cluster.Start(t, cluster.Options{Shape: shape, Rules: rules, Server: fmt.Sprintf("mqtt { listen: %q }\n", address)})
				victim, err := mqttConnect(t, address, "victim", c.Token(t, "victim"))
				if err != nil {
					t.Fatal(err)
				}
				_, err = mqttConnect(t, address, "victim", c.Token(t, "thief"))
				if name == "any" {
					if err != nil {
						t.Errorf("the thief was refused: %v", err)
					}
					cluster.Eventually(t, "the victim's connection is ended", func() bool { return !victim.IsConnected() })
					return
				}
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), "not authorized") {
					t.Errorf("the thief: %v", err)
				}
				if err := done(victim.Subscribe("device-commands/victim", 0, nil)); err != nil || !victim.IsConnected() {
					t.Errorf("the victim: %v", err)
				}
				records := c.Decided(t, "")
				if last := records[len(records)-1]; last.Text(logx.Reason) != "mqtt_client_id_not_allowed" || last.Text(logx.MQTTClientID) != "victim" {
					t.Errorf("%v", records)
				}
			})
		}
	}
}

func mqttConnect(t *testing.T, address, id, token string) (mqtt.Client, error) {
	t.Helper()
	return mqttConnectAs(t, address, id, "device", token)
}

func mqttConnectAs(t *testing.T, address, id, user, password string) (mqtt.Client, error) {
	t.Helper()
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetUsername(user).SetPassword(password).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(cluster.Patience))
	t.Cleanup(func() { client.Disconnect(0) })
	return client, done(client.Connect())
}

// done waits for an operation of the MQTT client.
func done(token mqtt.Token) error {
	if !token.WaitTimeout(cluster.Patience) {
		return errors.New("no answer")
	}
	return token.Error()
}
