package tokencheck

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// zitadelRolesClaim is where Zitadel puts the roles that a user holds in a project.
func zitadelRolesClaim(project string) string {
	return "urn:zitadel:iam:org:project:" + project + ":roles"
}

// zitadelMetadataClaim holds a user's metadata, base64url without padding.
const zitadelMetadataClaim = "urn:zitadel:iam:user:metadata"

// metadata returns a user's metadata decoded, of an issuer with the profile zitadel. An entry that is not text is left out:
// a rule that asks for it finds nothing.
func (c *claims) metadata() map[string]string {
	var encoded map[string]json.RawMessage
	if json.Unmarshal(c.all[zitadelMetadataClaim], &encoded) != nil || len(encoded) == 0 {
		return nil
	}
	out := make(map[string]string, len(encoded))
	for name, raw := range encoded {
		var text string
		if !isString(raw, &text) {
			continue
		}
		if value, ok := decodeSegment(strings.TrimRight(text, "=")); ok && utf8.Valid(value) {
			out[name] = string(value)
		}
	}
	return out
}
