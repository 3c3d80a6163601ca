package bench

import (
	"bytes"
	"fmt"
	"html"
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
