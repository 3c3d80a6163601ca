package bench

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
)

// Colours that are told apart in print and by most eyes.
var palette = []string{"#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e", "#97bbf5", "#a463f2", "#3ca951"}

// PlotSpeed draws connects per second and CPU per 1,000 connects of every condition, as SVG.
func (r *Report) PlotSpeed() []byte {
	const left, row, width = 250, 30, 300
	height := 70 + row*len(r.Speed)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", left+2*width+160, height)
	fmt.Fprint(&b, `<rect width="100%" height="100%" fill="white"/>`+"\n")
	text(&b, left, 20, "start", "connects per second")
	text(&b, left+width+100, 20, "start", "CPU seconds per 1,000 connects")
	mostRate, mostCPU := 1.0, 0.01
	for _, s := range r.Speed {
		mostRate = max(mostRate, s.Median.PerSecond)
		mostCPU = max(mostCPU, s.Services+s.Median.CPU["nats-server"])
	}
	for i, role := range cpuRoles[:5] {
		x := left + width + 100 + i*90 - 60
		fmt.Fprintf(&b, `<rect x="%d" y="28" width="10" height="10" fill="%s"/>`, x, palette[i])
		text(&b, x+14, 37, "start", role)
	}
	for i, s := range r.Speed {
		y := 50 + i*row
		text(&b, left-10, y+15, "end", s.Name)
		w := s.Median.PerSecond / mostRate * width
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="20" fill="#888"/>`, left, y, w)
		text(&b, left+int(w)+5, y+15, "start", fmt.Sprintf("%.0f", s.Median.PerSecond))
		x := float64(left + width + 100)
		for c, role := range cpuRoles[:5] {
			w := s.Median.CPU[role] / mostCPU * (width - 60)
			if w <= 0 {
				continue
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="20" fill="%s"/>`, x, y, w, palette[c])
			x += w
		}
		text(&b, int(x)+5, y+15, "start", fmt.Sprintf("%.2f", s.Services+s.Median.CPU["nats-server"]))
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

// PlotStorms draws the admissions per second over time of each storm, one panel for storms of the same kind and size, and of
// each overload.
func (r *Report) PlotStorms() []byte {
	var panels []panel
	at := func(title string) *panel {
		for i := range panels {
			if panels[i].title == title {
				return &panels[i]
			}
		}
		panels = append(panels, panel{title: title})
		return &panels[len(panels)-1]
	}
	for _, s := range r.Storms {
		system, kind := splitKind(s.Name)
		p := at(fmt.Sprintf("%d clients at once%s", s.Fleet.Clients, kind))
		p.lines = append(p.lines, line{system, s.PerBucket})
	}
	for _, f := range r.Overloads {
		system, kind := splitKind(f.Name)
		p := at(fmt.Sprintf("overload, %.1f times the capacity of the smallest callout%s", f.Factor, kind))
		p.lines = append(p.lines, line{system, f.PerBucket})
	}
	const width, height = 900, 240
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height*max(1, len(panels)))
	fmt.Fprint(&b, `<rect width="100%" height="100%" fill="white"/>`+"\n")
	for i, p := range panels {
		p.draw(&b, i*height, width, height)
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

// splitKind takes the kind of storm off its name.
func splitKind(name string) (system, kind string) {
	if _, age, ok := strings.Cut(name, maxBudgetOf); ok {
		return "max_budget " + age, ", by max_budget"
	}
	for _, kind := range kinds {
		if system, ok := strings.CutSuffix(name, kind); ok {
			return system, kind
		}
	}
	return name, ""
}

// panel is one diagram: admissions in each stormBucket.
type panel struct {
	title string
	lines []line
}

type line struct {
	name    string
	buckets []int
}

func (p panel) draw(b *bytes.Buffer, top, width, height int) {
	const left, right, head, foot = 60, 330, 40, 30
	perSecond := int(time.Second / stormBucket)
	most, longest := 1, 1
	for _, l := range p.lines {
		longest = max(longest, len(l.buckets))
		for _, n := range l.buckets {
			most = max(most, n*perSecond)
		}
	}
	text(b, left, top+20, "start", p.title+": admissions per second")
	w, h := width-left-right, height-head-foot
	fmt.Fprintf(b, `<path d="M%d %dv%dh%d" fill="none" stroke="#888"/>`, left, top+head, h, w)
	text(b, left-5, top+head+5, "end", strconv.Itoa(most))
	text(b, left+w, top+head+h+15, "end", fmt.Sprintf("%d s", longest/perSecond))
	for i, l := range p.lines {
		colour := palette[i%len(palette)]
		fmt.Fprintf(b, `<path fill="none" stroke="%s" stroke-width="1.5" d="M%d %d`, colour, left, top+head+h)
		for j, n := range l.buckets {
			fmt.Fprintf(b, "L%.1f %.1f", float64(left)+float64(j+1)/float64(longest)*float64(w), float64(top+head+h)-float64(n*perSecond)/float64(most)*float64(h))
		}
		fmt.Fprint(b, `"/>`)
		y := top + head + 15 + i*18
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`, left+w+15, y-9, colour)
		text(b, left+w+30, y, "start", l.name)
	}
	fmt.Fprintln(b)
}
