package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// markerKey returns the bucket's key for an identity: by. and the base64url of the SHA-256 of its JSON. No device has such a
// key. Its value is the device id that the identity claims or owns.
func markerKey(id Identity) (string, error) {
	text, err := json.Marshal(record{Issuer: id.Issuer, Subject: id.Subject})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return markerPrefix + base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

const markerPrefix = "by."

// cell is a key's last revision; 0 is a key that never was.
type cell struct {
	value    []byte
	revision uint64
	written  time.Time // by the server's clock
	live     bool      // false also for a key that was deleted, which has a revision
}

// cells are the keys of a bucket. A write succeeds only on the key's last revision, and fails with errMoved on any other. A
// read may be late, as a follower of the stream answers it. After any other error a write may have been done.
type cells interface {
	get(ctx context.Context, key string) (cell, error)
	put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	del(ctx context.Context, key string, revision uint64) error
}

var (
	errMoved = errors.New("the key has another revision")
	// errOther is definite: the identity owns another device.
	errOther = errors.New("this identity is another device")
	// errPending is transient, as errRaced is.
	errPending = errors.New("this identity is claiming another device")
	errRaced   = errors.New("others claim at the same time")
)

const (
	// pendingFor is for how long an unfinished claim keeps its identity from claiming another device. No claim takes that
	// long, but nothing depends on it, nor on clocks that agree: who is slower fails at its write.
	pendingFor = time.Minute
	// claimAttempts bounds how often a claim begins anew because others wrote.
	claimAttempts = 8
)

// claimer gives devices to identities.
type claimer struct {
	cells cells
	now   func() time.Time
}

// claim gives device to id if nobody has it and id has no other, and returns the device's owner. It fails with errOther; every
// other error is transient.
//
// A bucket changes one key at a time, and two must agree: the device's entry names one identity, the identity's marker one
// device. So a claim reads the device's revision, then writes the marker, then the entry at the revision that it read. Each
// claim writes the marker, even one that names the device already. A marker is moved to another device only when no claim
// behind it can come through any more: when the entry was written after it, as for another owner or by a deletion. An
// unfinished claim has no such entry; after pendingFor its device is deleted once more, which stops it for good.
// A crash, a late write or a lost answer at any point therefore leaves an identity with one device at most.
func (c claimer) claim(ctx context.Context, id Identity, device string) (Identity, error) {
	by, err := markerKey(id)
	if err != nil {
		return Identity{}, err
	}
	value, err := json.Marshal(record{Issuer: id.Issuer, Subject: id.Subject})
	if err != nil {
		return Identity{}, err
	}
	mine := uint64(0) // the marker's revision that is this claim's own
	for range claimAttempts {
		entry, owner, err := c.entry(ctx, device)
		if err != nil {
			return Identity{}, err
		}
		if entry.live {
			if owner != id && mine != 0 {
				_ = c.cells.del(ctx, by, mine) // a marker that stays is void, as the entry will tell
			}
			return owner, nil
		}
		marker, err := c.cells.get(ctx, by)
		if err != nil {
			return Identity{}, err
		}
		if other := string(marker.value); marker.live && other != device && other != "" {
			err = c.abandon(ctx, id, other, marker)
		}
		if err == nil {
			mine, err = c.cells.put(ctx, by, []byte(device), marker.revision)
		}
		if err == nil {
			_, err = c.cells.put(ctx, Key(device), value, entry.revision)
		}
		switch {
		case err == nil:
			return id, nil
		case !errors.Is(err, errMoved):
			return Identity{}, err
		}
	}
	return Identity{}, errRaced
}

// abandon returns nil once no claim of id on device, which marker names, can come through. It fails with errMoved when another
// claim was faster.
func (c claimer) abandon(ctx context.Context, id Identity, device string, marker cell) error {
	entry, owner, err := c.entry(ctx, device)
	switch {
	case err != nil:
		return err
	case entry.live && owner == id:
		return errOther
	case entry.revision > marker.revision:
		return nil
	case c.now().Sub(marker.written) < pendingFor:
		return errPending
	case entry.live:
		return nil
	}
	return c.cells.del(ctx, Key(device), entry.revision)
}

// entry returns a device's entry, and its owner if it is live.
func (c claimer) entry(ctx context.Context, device string) (cell, Identity, error) {
	e, err := c.cells.get(ctx, Key(device))
	if err != nil || !e.live {
		return e, Identity{}, err
	}
	parsed, err := parseEntry(Key(device), e.value)
	if err != nil {
		return e, Identity{}, fmt.Errorf("the entry of %q is broken: %w", device, err)
	}
	return e, parsed.Identity, nil
}
