// Package natsx is how the three services use NATS: connections that never give up while it makes sense, endpoints on
// nats.go/micro that never wait for one another, and calls with a budget and a second attempt. It refuses to know what
// the messages mean.
//
// The least permissions of a user that connects through it, with n its name and p the subject prefix:
//
//	subscribe  _AUTH_INBOX.n.>                  replies to its own requests; not for a service that calls nobody
//	           the subjects of its endpoints    with the queue group, as in "p.v1.token.check tokencheck"
//	           $SRV.>                           nats micro ls, info, stats, ping
//	publish    the subjects that it calls
//	           replies, by allow_responses      { max: 5 }: nats-server counts every answer, and every attempt after the first
//
// A service that only answers gets publish { deny: [">"] }, from which replies are exempt. natstest's hardened topology spells
// this out for each service, and its test has them work with it.
package natsx
