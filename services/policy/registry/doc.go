// Package registry knows which identity, {issuer, sub}, owns which device id. A claim that a device can edit itself says
// nothing about who it is; the registry does. It is a file, or a JetStream key-value bucket in which the first identity to
// claim a free id can be given it. It refuses to know rules.
package registry
