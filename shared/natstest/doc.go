// Package natstest is test only: an embedded nats-server in the reference and the hardened topology, and fakes that speak
// the contract, so that each service can be tested with a real server and without its neighbours. It is the only package
// of this module that links nats-server; no program that is shipped may import it.
package natstest
