// Package trace makes one OpenTelemetry trace of one login across the three services: a span for each request that a service
// works on, one for each request to a neighbour, and steps inside them. The context goes along in the headers of NATS messages
// as W3C Trace Context.
//
// It is off unless the standard environment variables name where to send spans, and then every method does nothing on a nil
// receiver, at the cost of one comparison. It refuses to know what a span means, it takes no token and no claims, and it never
// holds up a login: spans that cannot be sent in time are dropped.
package trace
