package callout

import (
	"strings"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

// What arrives aside, read in one pass: in a storm there is one of each for every login that is let go, and who lets go must not be
// kept busy by it.

// eventLimits are wider than what nats-server sends within its default max_payload.
var eventLimits = strictjson.Limits{MaxBytes: 1 << 20, MaxDepth: wire.MaxDepth, MaxMembers: 1 << 12}

// authErrorEvent is the part of nats-server's event that is of use here (server/events.go, DisconnectEventMsg).
type authErrorEvent struct {
	Server struct{ ID, Name string }
	Client struct {
		ID               uint64
		Host, Kind, Type string
	}
	Reason string
}

// clone returns e without the event that its texts are parts of, which has what the client sent.
func (e *authErrorEvent) clone() authErrorEvent {
	c := *e
	for _, text := range []*string{&c.Server.ID, &c.Server.Name, &c.Client.Host, &c.Client.Kind, &c.Client.Type, &c.Reason} {
		*text = strings.Clone(*text)
	}
	return c
}

var (
	authErrorMembers       = []string{"server", "client", "reason"}
	authErrorServerMembers = []string{"id", "name"}
	authErrorClientMembers = []string{"id", "host", "kind", "client_type"}
)

func readAuthError(data []byte) (e authErrorEvent, err error) {
	r := strictjson.NewReader(data, eventLimits)
	o := strictjson.Object{Names: authErrorMembers}
	for r.Member(&o) {
		switch o.Name {
		case "server":
			p := strictjson.Object{Names: authErrorServerMembers}
			for r.Member(&p) {
				switch p.Name {
				case "id":
					e.Server.ID = r.Text()
				case "name":
					e.Server.Name = r.Text()
				default:
					r.Skip()
				}
			}
		case "client":
			p := strictjson.Object{Names: authErrorClientMembers}
			for r.Member(&p) {
				switch p.Name {
				case "id":
					e.Client.ID = r.Uint()
				case "host":
					e.Client.Host = r.Text()
				case "kind":
					e.Client.Kind = r.Text()
				case "client_type":
					e.Client.Type = r.Text()
				default:
					r.Skip()
				}
			}
		case "reason":
			e.Reason = r.Text()
		default:
			r.Skip()
		}
	}
	return e, r.End()
}

// decisionRecord is the part of another replica's decision record that is of use here.
type decisionRecord struct {
	Outcome, ServerID string
	CID               uint64
}

var decisionMembers = []string{"outcome", "server_id", "cid"}

func readDecision(data []byte) (d decisionRecord, err error) {
	r := strictjson.NewReader(data, eventLimits)
	o := strictjson.Object{Names: decisionMembers}
	for r.Member(&o) {
		switch o.Name {
		case "outcome":
			d.Outcome = r.Text()
		case "server_id":
			d.ServerID = r.Text()
		case "cid":
			d.CID = r.Uint()
		default:
			r.Skip()
		}
	}
	return d, r.End()
}

// kickReply is the part of a server's answer that is of use here (server/events.go, ServerAPIResponse).
type kickReply struct {
	ServerID string
	Failed   bool // there was no such connection
}

var (
	kickReplyMembers       = []string{"server", "error"}
	kickReplyServerMembers = []string{"id"}
)

func readKickReply(data []byte) (k kickReply, err error) {
	r := strictjson.NewReader(data, eventLimits)
	o := strictjson.Object{Names: kickReplyMembers}
	for r.Member(&o) {
		switch o.Name {
		case "server":
			p := strictjson.Object{Names: kickReplyServerMembers}
			for r.Member(&p) {
				if p.Name == "id" {
					k.ServerID = r.Text()
				} else {
					r.Skip()
				}
			}
		case "error":
			if k.Failed = !r.Null(); k.Failed {
				r.Skip()
			}
		default:
			r.Skip()
		}
	}
	return k, r.End()
}
