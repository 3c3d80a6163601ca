package config

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxSecretBytes bounds a secret file.
const MaxSecretBytes = 64 << 10

// ErrEmptySecret is returned for a secret file with nothing in it.
var ErrEmptySecret = errors.New("the file is empty")

// ReadSecret returns the content of a secret file, without white space at its ends: at most MaxSecretBytes, not empty.
// Its errors name the file and never hold its content. The caller may overwrite the result.
func ReadSecret(p Path) ([]byte, error) {
	data, err := readBounded(string(p), MaxSecretBytes)
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimSpace(data)
	if len(secret) == 0 {
		return nil, fmt.Errorf("%s: %w", p, ErrEmptySecret)
	}
	return secret, nil
}
