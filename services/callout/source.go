package callout

import (
	"bytes"
	"encoding/base64"
	"net/netip"
)

// hostMember stands before the client's address in what nats-server writes (jwt/v2, AuthorizationRequest). Inside a text that
// a client chose its quotes would be escaped.
var hostMember = []byte(`"client_info":{"host":"`)

// source returns the network of the client that a request is about, as a hint for the fair share of those that have to
// wait: nothing of the request is verified. Empty when it cannot be read. The account is no part of it: which one a login
// goes to is known only when policy has decided.
func (u *unsealed) source() string {
	_, rest, _ := bytes.Cut(u.text, []byte{'.'})
	payload, _, _ := bytes.Cut(rest, []byte{'.'})
	plain, err := base64.RawURLEncoding.AppendDecode(make([]byte, 0, base64.RawURLEncoding.DecodedLen(len(payload))), payload)
	if err != nil {
		return ""
	}
	_, rest, found := bytes.Cut(plain, hostMember)
	if !found {
		return ""
	}
	host, _, _ := bytes.Cut(rest, []byte{'"'})
	return network(string(host))
}

// network is what one side holds of addresses: an IPv4 address, and of an IPv6 address the first 64 bits, below which every host has
// as many as it likes (RFC 4291 section 2.5.4).
func network(host string) string {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if address = address.Unmap().WithZone(""); address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address, 64).Masked().String()
}
