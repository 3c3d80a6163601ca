package callout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serverEvent is a failed login as nats-server tells of it.
func serverEvent() []byte {
	now := time.Unix(1700000000, 0)
	return must(json.Marshal(server.DisconnectEventMsg{
		TypedEvent: server.TypedEvent{Type: server.DisconnectEventMsgType, ID: "e", Time: now},
		Server:     server.ServerInfo{Name: "n1", Host: "192.0.2.1", ID: "N1", Version: "2.15.2", Tags: []string{"id:other"}, Time: now},
		Client: server.ClientInfo{
			Start: &now, Stop: &now, Host: "192.0.2.7", ID: 18446744073709551615, Account: "AUTH", User: "[REDACTED]", Lang: "go",
			Version: "1.52.0", RTT: time.Millisecond, Kind: "Client", ClientType: "nats", Tags: []string{"host:other"},
		},
		Reason: "Authentication Failure",
	}))
}

// TestEvents reads what nats-server's own types write.
func TestEvents(t *testing.T) {
	e, err := readAuthError(serverEvent())
	want := authErrorEvent{Reason: "Authentication Failure"}
	want.Server.ID, want.Server.Name = "N1", "n1"
	want.Client.ID, want.Client.Host, want.Client.Kind, want.Client.Type = 18446744073709551615, "192.0.2.7", "Client", "nats"
	if err != nil || e != want {
		t.Errorf("event: %+v, %v", e, err)
	}
	info := &server.ServerInfo{Name: "n1", ID: "N1", Time: time.Unix(1700000000, 0)}
	for _, c := range []struct {
		name   string
		answer server.ServerAPIResponse
		failed bool
	}{
		{"closed", server.ServerAPIResponse{Server: info}, false},
		{"gone", server.ServerAPIResponse{Server: info, Error: &server.ApiError{Code: 500, Description: "no such client id"}}, true},
	} {
		k, err := readKickReply(must(json.Marshal(c.answer)))
		if err != nil || k.ServerID != "N1" || k.Failed != c.failed {
			t.Errorf("%s: %+v, %v", c.name, k, err)
		}
	}
	d, err := readDecision(record("N1", 7, outcomeSilent).Data)
	if err != nil || d != (decisionRecord{outcomeSilent, "N1", 7}) {
		t.Errorf("decision: %+v, %v", d, err)
	}
}

// The same with encoding/json.
type (
	jsonAuthError struct {
		Server struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"server"`
		Client struct {
			ID   uint64 `json:"id"`
			Host string `json:"host"`
			Kind string `json:"kind"`
			Type string `json:"client_type"`
		} `json:"client"`
		Reason string `json:"reason"`
	}
	jsonDecision struct {
		Outcome  string `json:"outcome"`
		ServerID string `json:"server_id"`
		CID      uint64 `json:"cid"`
	}
	jsonKickReply struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
		Error *json.RawMessage `json:"error"`
	}
)

// FuzzEvents: what is read, encoding/json reads the same.
func FuzzEvents(f *testing.F) {
	f.Add(serverEvent())
	f.Add(record("N1", 7, outcomeSilent).Data)
	f.Add([]byte(`{"server":{"id":"N1"},"error":{"code":500}}`))
	f.Add([]byte(`{"server":null,"client":null,"error":null,"cid":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := readAuthError(data); err == nil {
			var want jsonAuthError
			if err := json.Unmarshal(data, &want); err != nil || e.Server.ID != want.Server.ID || e.Server.Name != want.Server.Name || e.Client.ID != want.Client.ID ||
				e.Client.Host != want.Client.Host || e.Client.Kind != want.Client.Kind || e.Client.Type != want.Client.Type || e.Reason != want.Reason {
				t.Errorf("event %q: %+v, encoding/json %+v, %v", data, e, want, err)
			}
		}
		if d, err := readDecision(data); err == nil {
			var want jsonDecision
			if err := json.Unmarshal(data, &want); err != nil || d != decisionRecord(want) {
				t.Errorf("decision %q: %+v, encoding/json %+v, %v", data, d, want, err)
			}
		}
		if k, err := readKickReply(data); err == nil {
			var want jsonKickReply
			if err := json.Unmarshal(data, &want); err != nil || k.ServerID != want.Server.ID || k.Failed != (want.Error != nil) {
				t.Errorf("kick reply %q: %+v, encoding/json %+v, %v", data, k, want, err)
			}
		}
	})
}

func BenchmarkEvents(b *testing.B) {
	data := serverEvent()
	var own, library time.Duration
	for b.Loop() {
		t0 := time.Now()
		_, err := readAuthError(data)
		t1 := time.Now()
		var e jsonAuthError
		if err != nil || json.Unmarshal(data, &e) != nil {
			b.Fatal(err)
		}
		own += t1.Sub(t0)
		library += time.Since(t1)
	}
	b.ReportMetric(float64(own)/float64(library), "own/encoding-json")
}
