// Package e2e tests the whole system with real parts: a device's client, nats-server, the three services, a provider.
package e2e
