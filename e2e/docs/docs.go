// Package docs renders the reference pages that must not drift from the code: configuration keys from the comments of
// the configuration structs, log fields from those of their constants, reason codes from the contract's table. `make docs` writes them; a test compares.
package docs

import (
	"fmt"
	"strings"

	"harmony.internal/authcallout/shared/wire"
)

// Page is one generated file, its path relative to the repository's root.
type Page struct {
	Path, Text string
}

// Pages renders every page from the sources below root.
func Pages(root string) ([]Page, error) {
	configuration, err := Configuration(root)
	if err != nil {
		return nil, err
	}
	logs, err := Logs(root)
	if err != nil {
		return nil, err
	}
	return []Page{
		{Path: "docs/configuration.md", Text: configuration},
		{Path: "docs/logs.md", Text: logs},
		{Path: "docs/codes.md", Text: Codes()},
		{Path: "docs/metrics.md", Text: Metrics()},
	}, nil
}

const generated = "<!-- Generated from the code by `make docs`; edit the code. -->\n"

// Codes renders the table of reasons.
func Codes() string {
	var b strings.Builder
	b.WriteString("# Reason codes\n\n" + generated + `
Every refusal and every trouble has one code. Codes are stable: rows are only ever added, numbers and names never change, and
text may. A device is never told the code; the operator finds it in the decision record and in ` + "`nats micro stats`" + `.

**definite**: the answer is final, and the device is told "not authorized" with a signed response. **transient**: something is in
trouble; the callout hangs up or stays silent, and the device comes back. Codes 3010 to 3018 are never answered: a request that
does not verify, or is of a server that is not known, has no sender to answer to.

| code | name | class | what it means |
|--:|---|---|---|
`)
	for _, r := range wire.Reasons() {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", r.Code, r.Name, r.Class, r.Text)
	}
	return b.String()
}
