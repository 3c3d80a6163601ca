package callout

import (
	"errors"
	"fmt"
	"io/fs"
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

// optional returns no key for a file that is not named, missing or empty.
func optional[K any](file config.Path, read func(config.Path) (K, error)) (keys []K, err error) {
	if file == "" {
		return nil, nil
	}
	key, err := read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, config.ErrEmptySecret):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []K{key}, nil
}

func indexed(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
