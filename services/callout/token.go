package callout

import "harmony.internal/authcallout/shared/wire"

// credentials are the members of CONNECT that may hold the device's token.
type credentials struct {
	AuthToken string // auth_token
	Password  string // pass: MQTT clients, and clients that know only user and password
	JWT       string // jwt
}

// token returns the one token that the client presented. The same token in two places is one token; two different ones
// are refused, because which of them counts would be ours to guess.
func (c credentials) token() (string, *wire.Error) {
	token := ""
	for _, s := range []string{c.AuthToken, c.Password, c.JWT} {
		switch {
		case s == "" || s == token:
		case token == "":
			token = s
		default:
			return "", wire.Fail(wire.ConflictingTokens, "", nil)
		}
	}
	if token == "" {
		return "", wire.Fail(wire.NoToken, "", nil)
	}
	if len(token) > wire.MaxTokenBytes {
		return "", wire.Fail(wire.TokenTooLarge, "", nil)
	}
	return token, nil
}
