package standalone

import (
	"fmt"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"harmony.internal/authcallout/shared/config"
	"harmony.internal/authcallout/shared/natsx"
)

// disagreements reports where the server's configuration and the services' name different keys. Each file is good by
// itself then, and every login would fail without saying why.
func (s *System) disagreements(dir string) []error {
	var errs []error
	conf := filepath.Join(dir, ServerFile)
	callout := s.server.AuthCallout
	if callout == nil {
		return []error{fmt.Errorf("%s: there is no authorization.auth_callout: nobody would be asked who a device is", conf)}
	}
	expect := func(file config.Path, want, where string) {
		got, err := publicKey(file)
		switch {
		case err != nil:
			errs = append(errs, err)
		case got != want:
			errs = append(errs, fmt.Errorf("%s holds the key %s, but %s in %s is %q: bring back the key, or name this one there", file, got, where, conf, want))
		}
	}
	expect(s.callout.IssuerSeedFile, callout.Issuer, "authorization.auth_callout.issuer")
	if s.callout.XKeySeedFile != "" || callout.XKey != "" {
		expect(s.callout.XKeySeedFile, callout.XKey, "authorization.auth_callout.xkey")
	}
	for _, nats := range []natsx.Config{s.callout.NATS, s.tokencheck.NATS, s.policy.NATS} {
		if nats.NkeySeedFile == "" {
			continue // a user and password, or what else an operator chose: the log tells whether the server takes it
		}
		key, err := publicKey(nats.NkeySeedFile)
		if err == nil && !s.knows(key) {
			err = fmt.Errorf("%s holds the key %s, which is no user in %s: bring back the key, or name this one there", nats.NkeySeedFile, key, conf)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *System) knows(nkey string) bool {
	for _, u := range s.server.Nkeys {
		if u.Nkey == nkey {
			return true
		}
	}
	return false
}

func publicKey(seedFile config.Path) (string, error) {
	if seedFile == "" {
		return "", fmt.Errorf("%s: xkey_seed_file is not set, and the server's auth_callout names an xkey: set both or none", CalloutFile)
	}
	seed, err := config.ReadSecret(seedFile)
	if err != nil {
		return "", err
	}
	defer clear(seed)
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", fmt.Errorf("%s: not an nkey seed: %w", seedFile, err)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}
