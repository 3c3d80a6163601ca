package bench

import (
	"path/filepath"
	"strings"
)

// Standalone starts the one process that is everything, with the configuration that it writes itself at a first start:
// the hardened topology, requests sealed.
func (l *Lab) Standalone() (*System, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &System{Name: "standalone (sealed)", Addr: addr, lab: l, config: l.file("standalone-" + addr[strings.LastIndex(addr, ":")+1:])}
	return s, s.add("standalone", filepath.Join(l.Bin, "standalone"),
		"-data", s.config, "-listen", addr, "-issuer", l.Provider.Issuer, "-project", Project, "-device-claim", "device_id")
}
