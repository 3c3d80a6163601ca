package strictjson

import "bytes"

// few is how many names are compared one by one before a set is built. Objects of a token or a message are this short.
const few = 16

// members is the set of names seen in one object.
type members struct {
	n     int
	first [few][]byte
	all   map[string]struct{}
}

// add reports whether name is new; with fold, also under Unicode simple case folding.
func (m *members) add(name []byte, fold bool) bool {
	if m.all == nil && m.n < few {
		for _, seen := range m.first[:m.n] {
			if bytes.Equal(seen, name) || (fold && !differ(seen, name) && bytes.EqualFold(seen, name)) {
				return false
			}
		}
		m.first[m.n] = name
		m.n++
		return true
	}
	if m.all == nil {
		m.all = make(map[string]struct{}, 4*few)
		for _, seen := range m.first {
			m.all[key(seen, fold)] = struct{}{}
		}
	}
	k := key(name, fold)
	if _, twice := m.all[k]; twice {
		return false
	}
	m.all[k] = struct{}{}
	return true
}
