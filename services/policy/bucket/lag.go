package bucket

// maxPatience bounds how many looks a watch may stay silent.
const maxPatience = 16

// lag finds out whether a watch has fallen behind its bucket. What is written to other keys of the bucket looks the same as
// what a watch does not deliver, and only a new watch can tell. While new ones bring nothing that was not known, there are
// fewer and fewer of them: a bucket that is shared with busy keys is watched anew every 16 looks. It holds no clock.
type lag struct {
	// seen is the newest revision that any watch brought.
	seen uint64
	// patience is at how many looks in a row a watch may be silent before it counts as behind.
	patience int

	// last is the newest revision that this watch brought or began after, fresh says that it brought a new one.
	last  uint64
	fresh bool
	// due is the revision at the look before; moved says that the watch brought something since.
	due   uint64
	moved bool
	// silent counts looks in a row at which the watch had brought nothing though something was due.
	silent int
}

// begin begins a watch of a bucket whose last revision is last; anew says that the bucket is not the one before.
func (l *lag) begin(last uint64, anew bool) {
	*l = lag{seen: l.seen, patience: max(1, l.patience), last: last}
	if anew {
		l.seen, l.patience = 0, 1
	}
}

// brought takes note of a revision that the watch brought.
func (l *lag) brought(revision uint64) {
	l.last, l.moved = max(l.last, revision), true
	if revision > l.seen {
		l.seen, l.fresh, l.patience = revision, true, 1
	}
}

// behind takes note of a look that found the bucket at revision now, and reports whether the watch has to begin anew. One that
// is still delivering is not behind, however many are written meanwhile.
func (l *lag) behind(now uint64) bool {
	if l.due > l.last && !l.moved { // there was the time from look to look to deliver it, or it was of another key
		l.silent++
	} else {
		l.silent = 0
	}
	l.due, l.moved = now, false
	if l.silent < l.patience {
		return false
	}
	if !l.fresh {
		l.patience = min(2*l.patience, maxPatience)
	}
	return true
}
