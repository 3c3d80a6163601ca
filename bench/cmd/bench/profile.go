package main

import (
	"context"
	"flag"
	"fmt"
	"time"
)

// profile takes profiles of the services under load.
func profile(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench profile", flag.ContinueOnError)
	bin := f.String("bin", "bin", "directory of the services' programs")
	dir := f.String("dir", ".", "write the profiles here")
	algorithm := f.String("algorithm", "RS256", "RS256, ES256 or EdDSA")
	lasts := f.Duration("lasts", 10*time.Second, "how long, whole seconds")
	workers := f.Int("workers", 64, "clients that connect at the same time")
	if err := f.Parse(args); err != nil {
		return err
	}
	lab, clean, err := newLab(*bin)
	if err != nil {
		return err
	}
	defer clean()
	result, err := lab.Profile(ctx, *dir, *algorithm, *lasts, *workers)
	if err == nil {
		fmt.Printf("%.0f connects/s, %v failed\n", result.PerSecond, result.Failed)
	}
	return err
}
