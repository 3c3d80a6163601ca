package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"harmony.internal/authcallout/shared/logx"
)

// Log keeps what a replica writes. Safe for concurrent use.
type Log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Tail returns the last lines.
func (l *Log) Tail(lines int) string {
	text := []byte(l.String())
	from := len(text)
	for range lines + 1 {
		if from = bytes.LastIndexByte(text[:max(from, 0)], '\n'); from < 0 {
			return string(text)
		}
	}
	return string(text[from+1:])
}

// Record is a decision record.
type Record map[string]any

// Text returns a field as text, empty when it is not there.
func (r Record) Text(field string) string {
	s, _ := r[field].(string)
	return s
}

// Records returns the decision records of all callouts, each one's in order.
func (c *Cluster) Records() []Record {
	var all []Record
	for _, r := range c.replicas["callout"] {
		for _, line := range bytes.Split([]byte(r.log.String()), []byte("\n")) {
			var record Record
			if json.Unmarshal(line, &record) == nil && record.Text("msg") == "decision" {
				all = append(all, record)
			}
		}
	}
	return all
}

// Count returns how many decision records have this value in a field.
func (c *Cluster) Count(field, value string) int {
	n := 0
	for _, r := range c.Records() {
		if r.Text(field) == value {
			n++
		}
	}
	return n
}

// Named returns the decision records of the client of this name, as the client called itself.
func (c *Cluster) Named(name string) []Record {
	var all []Record
	for _, r := range c.Records() {
		if r.Text(logx.ClientName) == name {
			all = append(all, r)
		}
	}
	return all
}

// Decided waits until there is a decision record of the client of this name, which a callout writes after it has answered,
// and returns all of them.
func (c *Cluster) Decided(t testing.TB, name string) []Record {
	t.Helper()
	Eventually(t, fmt.Sprintf("a decision about %q is on record", name), func() bool { return len(c.Named(name)) > 0 })
	return c.Named(name)
}
