package natsx

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"

	"harmony.internal/authcallout/shared/config"
)

// authentication returns the options by which cfg authenticates. The files are read at every connect.
func authentication(cfg Config, log *zap.Logger) ([]nats.Option, error) {
	switch {
	case cfg.NkeySeedFile != "":
		return nkeyOption(cfg.NkeySeedFile)
	case cfg.CredsFile != "":
		if _, err := config.ReadSecret(cfg.CredsFile); err != nil {
			return nil, err
		}
		return []nats.Option{nats.UserCredentials(string(cfg.CredsFile))}, nil
	case cfg.PasswordFile != "":
		if _, err := config.ReadSecret(cfg.PasswordFile); err != nil {
			return nil, err
		}
		return []nats.Option{nats.UserInfoHandler(func() (user, password string) {
			secret, err := config.ReadSecret(cfg.PasswordFile)
			if err != nil {
				log.Error("the password cannot be read; the server will refuse this connection", zap.Error(err))
			}
			return cfg.User, string(secret)
		})}, nil
	}
	return nil, nil
}

// nkeyOption signs with the seed that the file holds at that moment. The public key is part of the options and cannot
// change under a connection.
func nkeyOption(file config.Path) ([]nats.Option, error) {
	public, _, err := signWith(file, nil)
	if err != nil {
		return nil, err
	}
	return []nats.Option{nats.Nkey(public, func(nonce []byte) ([]byte, error) {
		now, signature, err := signWith(file, nonce)
		if err != nil {
			return nil, err
		}
		if now != public {
			return nil, fmt.Errorf("%s holds the seed of %s now, this process started as %s: restart it", file, now, public)
		}
		return signature, nil
	})}, nil
}

// signWith reads a user seed, signs nonce with it and wipes it.
func signWith(file config.Path, nonce []byte) (public string, signature []byte, err error) {
	seed, err := config.ReadSecret(file)
	if err != nil {
		return "", nil, err
	}
	defer clear(seed)
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", nil, fmt.Errorf("%s: not an nkey seed: %w", file, err)
	}
	defer kp.Wipe()
	if public, err = kp.PublicKey(); err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	if !nkeys.IsValidPublicUserKey(public) {
		return "", nil, fmt.Errorf("%s: the seed is not a user's (SU...)", file)
	}
	signature, err = kp.Sign(nonce)
	return public, signature, err
}
