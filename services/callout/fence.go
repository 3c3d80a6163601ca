package callout

import (
	"slices"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// fence keeps a user out of the system's own traffic when a rule allows something as wide as ">" in the account that the
// services share with it (DESIGN P7). nats-server itself denies nothing of that but publishing authorization requests.
type fence struct {
	publish, subscribe []string
}

// subjectServerInbox is where the servers await the answers to their requests (server/events.go, inboxRespSubj). In the
// callout's account a user JWT crosses it for everybody who logs in; whoever publishes there answers in the callout's place.
const subjectServerInbox = "$SYS._INBOX.>"

// wide is out of reach of a rule that gives it by a wildcard alone, as ">" or "$JS.API.>": a rule must name it up to its own
// wildcard. Whoever makes a stream over the internal subjects keeps what is sent there, tokens too, and has it acknowledged in the
// place of an answer; a stream of JetStream with a domain has the domain in its subject. The rest tells of other connections,
// which every account can ask for in two places (server/events.go, registerSystemImports), and answers for the services in listings.
var wide = []string{
	"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.RESTORE.>",
	"$JS.*.API.STREAM.CREATE.>", "$JS.*.API.STREAM.UPDATE.>", "$JS.*.API.STREAM.RESTORE.>",
	"$SYS.REQ.ACCOUNT.>", "$SYS.REQ.SERVER.>", "$SRV.>",
}

// newFence returns the fence around the subjects of one prefix and the internal inboxes below inboxPrefix.
func newFence(subjects wire.Subjects, inboxPrefix string) fence {
	prefix := strings.TrimSuffix(subjects.Kick(""), "kick.")
	// An event of a failed login (subjectAuthErrors) holds the JWT that the client sent.
	internal := []string{prefix + "v1.>", prefix + "kick.>", inboxPrefix + ".>", subjectAuthErrors, subjectServerInbox}
	return fence{
		publish:   internal,
		subscribe: append([]string{wire.SubjectUserAuth}, internal...),
	}
}

// denies returns those of internal that one of allow overlaps.
func denies(internal, allow []string) []string {
	var deny []string
	for _, in := range internal {
		for _, s := range allow {
			subject, _, _ := strings.Cut(s, " ")
			if overlap(subject, in) {
				deny = append(deny, in)
				break
			}
		}
	}
	return deny
}

// deniesWide returns those of wide that one of allow overlaps and none names.
func deniesWide(allow []string) []string {
	deny := denies(wide, allow)
	return slices.DeleteFunc(deny, func(in string) bool {
		return slices.ContainsFunc(allow, func(s string) bool { return names(s, in) })
	})
}

// names says whether subject has a literal token wherever in has one; a * of in may be a * there too.
func names(subject, in string) bool {
	for token := range strings.SplitSeq(strings.TrimSuffix(in, ".>"), ".") {
		var first string
		first, subject, _ = strings.Cut(subject, ".")
		if first != token && (token != "*" || first == ">" || first == "") {
			return false
		}
	}
	return true
}

// overlap says whether some subject matches both a and b.
func overlap(a, b string) bool {
	for {
		at, arest, amore := strings.Cut(a, ".")
		bt, brest, bmore := strings.Cut(b, ".")
		if at == ">" || bt == ">" {
			return true
		}
		if at != bt && at != "*" && bt != "*" {
			return false
		}
		if !amore || !bmore {
			return amore == bmore
		}
		a, b = arest, brest
	}
}
