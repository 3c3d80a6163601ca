// Package bench measures what admitting a connection costs, and what becomes of a fleet that comes all at once. It looks
// from outside: every part under test is a process of its own, started from the same binaries and configuration files
// that an operator uses, and the clients speak the protocol on plain sockets, so that no client library is measured. It
// imports none of the services, and is a module of its own so that it stays so.
//
// Everything is bounded in number and time, and on the loopback interface.
package bench
