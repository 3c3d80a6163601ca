package natsx

// lane is what waits of one source, or of several: waiting[head:], oldest first.
type lane struct {
	waiting []*Request
	head    int
	weight  int // of all that wait, 0 with none
}

func (l *lane) push(r *Request) {
	l.waiting = append(l.waiting, r)
	l.weight += r.weight
}

func (l *lane) popNewest() *Request {
	last := len(l.waiting) - 1
	r := l.waiting[last]
	l.waiting[last] = nil
	l.waiting = l.waiting[:last]
	l.weight -= r.weight
	l.rewind()
	return r
}

func (l *lane) popOldest() *Request {
	r := l.waiting[l.head]
	l.waiting[l.head] = nil
	l.head++
	l.weight -= r.weight
	l.rewind()
	return r
}

// rewind reuses the room in front once it is the larger part.
func (l *lane) rewind() {
	if l.head < len(l.waiting)/2 && l.head < 1024 {
		return
	}
	n := copy(l.waiting, l.waiting[l.head:])
	clear(l.waiting[n:])
	l.waiting, l.head = l.waiting[:n], 0
}

// keep drops those of which ok says no.
func (l *lane) keep(ok func(*Request) bool) {
	kept := l.waiting[:0]
	for _, r := range l.waiting[l.head:] {
		if ok(r) {
			kept = append(kept, r)
		} else {
			l.weight -= r.weight
		}
	}
	clear(l.waiting[len(kept):])
	l.waiting, l.head = kept, 0
}
