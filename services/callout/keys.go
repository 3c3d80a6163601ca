package callout

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
)

// keys are the seeds in force at one moment. It does not change; safe for concurrent use.
type keys struct {
	// issuers sign, the one of issuer_seed_file first. Which of them signs is the server's choice: a request's sub is the
	// issuer that the server trusts at that moment, and by which it will judge the answer (nats-server,
	// server/auth_callout.go, jwtSub), whatever is reloaded meanwhile.
	issuers []*signingKey
	// curves open requests and seal answers. Empty: requests come in plain text.
	curves []nkeys.KeyPair
}

// issuer returns the key pair with this public key, nil when it is not held.
func (k *keys) issuer(public string) *signingKey {
	for _, key := range k.issuers {
		if key.public == public {
			return key
		}
	}
	return nil
}

// sealed says whether requests must be sealed.
func (k *keys) sealed() bool { return len(k.curves) > 0 }

// names are the public keys.
func (k *keys) names() (issuers, xkeys []string) {
	for _, key := range k.issuers {
		issuers = append(issuers, key.public)
	}
	for _, pair := range k.curves {
		public, err := pair.PublicKey()
		if err != nil {
			public = err.Error()
		}
		xkeys = append(xkeys, public)
	}
	return issuers, xkeys
}

// readKeys reads the seed files.
func readKeys(cfg *Config) (*keys, error) {
	first, err := readSigningKey(cfg.IssuerSeedFile)
	if err != nil {
		return nil, fmt.Errorf("issuer_seed_file: %w", err)
	}
	next, err := optional(cfg.NextIssuerSeedFile, readSigningKey)
	if err != nil {
		return nil, fmt.Errorf("next_issuer_seed_file: %w", err)
	}
	k := &keys{issuers: append([]*signingKey{first}, next...)}
	if cfg.XKeySeedFile == "" {
		return k, nil
	}
	xkey, err := readCurveKey(cfg.XKeySeedFile)
	if err != nil {
		return nil, fmt.Errorf("xkey_seed_file: %w", err)
	}
	nextXKey, err := optional(cfg.NextXKeySeedFile, readCurveKey)
	if err != nil {
		return nil, fmt.Errorf("next_xkey_seed_file: %w", err)
	}
	k.curves = append([]nkeys.KeyPair{xkey}, nextXKey...)
	return k, nil
}

// keyring holds the keys in force and takes over what the seed files say later. Safe for concurrent use; run is for one
// goroutine.
type keyring struct {
	cfg     *Config
	log     *zap.Logger
	current atomic.Pointer[keys]
	// broken is the last error, so that it is logged once.
	broken string
}

// lookEvery is how often the seed files are read: looking finds what notifications miss, as the swapped symbolic links
// of mounted secrets.
const lookEvery = 2 * time.Second

func newKeyring(cfg *Config, log *zap.Logger) (*keyring, error) {
	k, err := readKeys(cfg)
	if err != nil {
		return nil, err
	}
	r := &keyring{cfg: cfg, log: log}
	r.current.Store(k)
	return r, nil
}

func (r *keyring) keys() *keys { return r.current.Load() }

// run looks at the files every lookEvery and at every hangup (SIGHUP), until ctx ends.
func (r *keyring) run(ctx context.Context, hangup <-chan os.Signal) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.log.Info("reading the seed files again")
		case <-tick.C:
		}
		r.look()
	}
}

// look takes over changed keys; while a file is bad the keys in force stay.
func (r *keyring) look() {
	read, err := readKeys(r.cfg)
	if err != nil {
		if r.broken != err.Error() {
			r.broken = err.Error()
			r.log.Error("a seed file is bad; the keys in force stay", zap.Error(err))
		}
		return
	}
	r.broken = ""
	issuers, xkeys := read.names()
	oldIssuers, oldXKeys := r.keys().names()
	if slices.Equal(issuers, oldIssuers) && slices.Equal(xkeys, oldXKeys) {
		return
	}
	r.current.Store(read)
	r.log.Info("keys taken over; each server is answered by the one that it names", zap.Strings("issuer_keys", issuers), zap.Strings("xkeys", xkeys))
}
