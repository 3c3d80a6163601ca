package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"harmony.internal/authcallout/services/policy/rules"
	"harmony.internal/authcallout/shared/wire"
)

func diff(_ context.Context, c *call) error {
	devices := c.registryFlag()
	records := c.flags.String("records", "", "recorded decide requests, one JSON object a line, as `nats sub --raw auth.v1.policy.decide` prints them (FILE)")
	if err := c.parse(2); err != nil {
		return err
	}
	if *records == "" {
		return errors.New("-records is required")
	}
	older, err := c.compile(c.positional[0])
	if err != nil {
		return err
	}
	newer, err := c.compile(c.positional[1])
	if err != nil {
		return err
	}
	f, err := os.Open(*records)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only: nothing can be lost
	known, err := devices.open()
	if err != nil {
		return err
	}
	total, different := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, wire.MaxDecideRequestBytes+1)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		total++
		q, err := wire.Decode[wire.DecideRequest](lines.Bytes(), wire.MaxDecideRequestBytes)
		if err != nil {
			return fmt.Errorf("%s: record %d: %w", *records, total, err)
		}
		at, fail := known.context(q)
		if fail != nil {
			return fail
		}
		d := rules.Compare(older, newer, q, at)
		if d.Same() {
			continue
		}
		different++
		c.print("%s %s: %s\n", q.Token.Issuer, q.Token.Subject, d)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", *records, err)
	}
	c.print("%d requests, %d decided differently\n", total, different)
	if different > 0 {
		return errFailed
	}
	return nil
}
