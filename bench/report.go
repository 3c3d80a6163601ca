package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is everything that one run measured; it is the JSON output.
type Report struct {
	Time       time.Time `json:"time"`
	Processors int       `json:"processors"`
	Go         string    `json:"go"`
	Workers    int       `json:"workers,omitempty"`
	Speed      []Row     `json:"speed,omitempty"`
	Storms     []Storm   `json:"storms,omitempty"`
	Overloads  []Flood   `json:"overloads,omitempty"`
}

// NewReport returns an empty one of this machine.
func NewReport() *Report {
	return &Report{Time: time.Now().UTC().Truncate(time.Second), Processors: runtime.NumCPU(), Go: runtime.Version()}
}

// ReadReport returns what a file holds, to which a further run may add.
func ReadReport(file string) (*Report, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	r := &Report{}
	return r, json.Unmarshal(text, r)
}

// WriteJSON writes r to a file.
func (r *Report) WriteJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) //nolint:gosec // figures for everybody
}

// base returns the row of the smallest callout, to which the others are compared.
func (r *Report) base() *Row {
	for i := range r.Speed {
		if r.Speed[i].Key == "b" {
			return &r.Speed[i]
		}
	}
	return nil
}

// cpuRoles in the order of the table.
var cpuRoles = []string{"nats-server", "callout", "tokencheck", "policy", "standalone", "load"}

// PrintSpeed prints the table: medians of the rounds, CPU in seconds per 1,000 connects.
func (r *Report) PrintSpeed(out io.Writer) error {
	rows := [][]string{append([]string{"", "connects/s", "of (b)", "p50 ms", "p99 ms", "half load p50", "p99", "services"}, cpuRoles...)}
	base := r.base()
	for _, row := range r.Speed {
		m := row.Median
		ratio, half, halfP99 := "", "", ""
		if base != nil {
			ratio = fmt.Sprintf("%.2f", m.PerSecond/base.Median.PerSecond)
		}
		if row.HalfLoad != nil {
			half, halfP99 = fmt.Sprintf("%.1f", row.HalfLoad.P50Millis), fmt.Sprintf("%.1f", row.HalfLoad.P99Millis)
		}
		cells := []string{row.Name, fmt.Sprintf("%.0f", m.PerSecond), ratio, fmt.Sprintf("%.1f", m.P50Millis), fmt.Sprintf("%.1f", m.P99Millis), half, halfP99, fmt.Sprintf("%.3f", row.Services)}
		for _, role := range cpuRoles {
			cell := ""
			if used, ok := m.CPU[role]; ok {
				cell = fmt.Sprintf("%.3f", used)
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	return printTable(out, rows)
}

// printTable aligns cells to the right.
func printTable(out io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, cells := range rows {
		if _, err := io.WriteString(w, strings.Join(cells, "\t")+"\t\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}

// PrintStorms prints what became of the fleets, and of the overloads.
func (r *Report) PrintStorms(out io.Writer) error {
	seconds := func(s Storm, percent int) string {
		if at, ok := s.Seconds[percent]; ok {
			return fmt.Sprintf("%.1f", at)
		}
		return "never"
	}
	rows := [][]string{{"storm", "clients", "admitted", "50 % s", "95 % s", "99 % s", "100 % s", "attempts", "wasted", "lost"}}
	for _, s := range r.Storms {
		rows = append(rows, []string{s.Name, strconv.Itoa(s.Fleet.Clients), strconv.Itoa(s.Admitted), seconds(s, 50), seconds(s, 95), seconds(s, 99), seconds(s, 100),
			strconv.Itoa(s.Attempts), s.wasted(), strconv.Itoa(s.Lost)})
	}
	if err := printTable(out, rows); err != nil || len(r.Overloads) == 0 {
		return err
	}
	rows = [][]string{append([]string{"overload", "of capacity", "offered/s", "admitted/s", "of capacity", "p99 ms", "wasted", "processors"}, cpuRoles...)}
	for _, f := range r.Overloads {
		cells := []string{
			f.Name, fmt.Sprintf("%.1fx", f.Factor), fmt.Sprintf("%.0f", f.Offered), fmt.Sprintf("%.0f", f.Goodput),
			fmt.Sprintf("%.0f %%", 100*f.Share), fmt.Sprintf("%.0f", f.P99Millis), strconv.Itoa(f.Wasted), fmt.Sprintf("%.2f", f.busy()),
		}
		for _, role := range cpuRoles {
			cells = append(cells, fmt.Sprintf("%.2f", f.CPU[role]))
		}
		rows = append(rows, cells)
	}
	return printTable(out, rows)
}
