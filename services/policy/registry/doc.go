// Package registry knows which identity, {issuer, sub}, owns which device id. A claim that a device can edit itself says
// nothing about who it is; the registry does. It is a file, or a JetStream key-value bucket in which the first identity to
// claim a free id can be given it. It refuses to know rules.
//
// The bucket's keys are id.DEVICE or b64.BASE64URL for a device, whose value names its owner, and with Pin by.HASH for an
// identity, whose value is the one device that it claims or owns. The first kind decides; the second orders claims.
package registry
