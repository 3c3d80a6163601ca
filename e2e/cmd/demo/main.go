// Command demo shows the reference flow on this machine; run it as `make demo` does. It exits with 0 when everything was as
// expected, with 1 when not, and with 2 when it was called wrongly.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"harmony.internal/authcallout/e2e/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	o := demo.Options{Out: os.Stdout}
	flag.StringVar(&o.Bin, "bin", "bin", "`directory` of the built programs")
	flag.BoolVar(&o.Keep, "keep", false, "leave it running and print what to try by hand")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := demo.Run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: NOT as expected: %v\n", err)
		os.Exit(1)
	}
}
