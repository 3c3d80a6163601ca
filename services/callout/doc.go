// Package callout answers nats-server's authorization requests.
package callout
