package callout

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/config"
)

// readSigningKey reads the issuer's seed. Its errors hold nothing of the file's content.
func readSigningKey(file config.Path) (*signingKey, error) {
	seed, err := config.ReadSecret(file)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	key, err := newSigningKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// readCurveKey reads the xkey's seed. Its errors hold nothing of the file's content.
func readCurveKey(file config.Path) (nkeys.KeyPair, error) {
	seed, err := config.ReadSecret(file)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	key, err := newCurveKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

func indexed(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
