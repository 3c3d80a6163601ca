package devidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"math/big"
	"strings"
)

// newID returns an identifier in the shape of Zitadel's: eighteen decimal digits, the first of them a 4.
func newID() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1e17))
	if err != nil {
		panic(err) // crypto/rand does not fail on a supported system
	}
	digits := n.String()
	return "4" + strings.Repeat("0", 17-len(digits)) + digits
}

// A token id names the session that it was issued in, in Zitadel's shape. A user's session changes with a deactivation, which is
// how introspection knows for good that a token is from before.
func newTokenID(session string) string { return "V2_" + session + "-at_" + newID() }

func tokenIDIsOf(tokenID, session string) bool {
	return strings.HasPrefix(tokenID, "V2_"+session+"-at_")
}

// newSecret returns a secret of 256 bits for a person to paste.
func newSecret() string { return rand.Text() + rand.Text() }

// hashSecret is enough of a hash for secrets that are random and long.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func secretMatches(secret, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(hashSecret(secret)), []byte(hash)) == 1
}
