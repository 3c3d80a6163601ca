package strictjson

import (
	"encoding/json"
	"errors"
	"strconv"
)

// ErrType says that a value is strict JSON and not of the kind that was asked for.
var ErrType = errors.New("a member of the wrong type")

// Reader reads one JSON object in one pass, with the strictness of CheckObject and the conversions of encoding/json. Its
// methods read the next value; after an error they return zero values and do nothing. Texts are cut from one copy of the
// data, so a message costs one allocation for all of its strings. Not safe for concurrent use.
//
//	r := NewReader(data, limits)
//	o := Object{Names: []string{"id", "roles"}}
//	for r.Member(&o) {
//		switch o.Name {
//		case "id":
//			id = r.Text()
//		case "roles":
//			roles = r.Texts()
//		default:
//			r.Skip()
//		}
//	}
//	err := r.End()
type Reader struct {
	s     scanner
	copy  string
	depth int
	err   error
}

// Object is one object under way. The zero value with its Names set is ready for use.
type Object struct {
	// Names are the members that are known, at most 64, no two equal under case folding. A name that equals one of them
	// only under case folding is refused, as is one that equals another unknown one so. Nil: any names, told apart by case.
	Names []string
	// Name is the member whose value is next; empty for one that is not among Names.
	Name string

	open  bool
	known uint64
	rest  members
}

// NewReader returns a Reader of data.
func NewReader(data []byte, lim Limits) Reader {
	r := Reader{s: scanner{data: data, lim: lim}}
	if len(data) > lim.MaxBytes {
		r.err = ErrTooLarge
		return r
	}
	r.copy = string(data)
	r.s.space()
	if r.s.peek() != '{' {
		r.err = r.s.fail(ErrSyntax)
	}
	return r
}

// Member moves to the next member of o and reports whether there is one. At an object inside another, null is an empty
// one.
func (r *Reader) Member(o *Object) bool {
	if r.err != nil {
		return false
	}
	if o.open {
		return r.more('}') && r.name(o)
	}
	if r.depth > 0 && r.Null() {
		return false
	}
	o.open = true
	return r.enter('{', '}') && r.name(o)
}

// Element moves to the next element of an array and reports whether there is one; open is false at its start. null is an
// empty array.
func (r *Reader) Element(open *bool) bool {
	if r.err != nil {
		return false
	}
	if !*open {
		if r.Null() {
			return false
		}
		*open = true
		if !r.enter('[', ']') {
			return false
		}
	} else if !r.more(']') {
		return false
	}
	if r.err = r.s.count(r.depth); r.err != nil {
		return false
	}
	r.s.space()
	return true
}

// enter reads the beginning of an object or array and reports whether something is in it.
func (r *Reader) enter(begin, end byte) bool {
	if r.s.peek() != begin {
		r.wrongType()
		return false
	}
	r.depth++
	if r.depth > r.s.lim.MaxDepth {
		r.err = r.s.fail(ErrTooLarge)
		return false
	}
	r.s.pos++
	r.s.space()
	if r.s.peek() == end {
		r.s.pos++
		r.depth--
		return false
	}
	return true
}

// more reads what stands between two elements, or the end.
func (r *Reader) more(end byte) bool {
	done, err := r.s.next(end)
	if done {
		r.depth--
	}
	r.err = err
	return !done && err == nil
}

func (r *Reader) name(o *Object) bool {
	if r.err = r.s.count(r.depth); r.err != nil {
		return false
	}
	r.s.space()
	if r.s.peek() != '"' {
		r.err = r.s.fail(ErrSyntax)
		return false
	}
	raw, escaped, err := r.s.text()
	if err != nil {
		r.err = err
		return false
	}
	if escaped {
		raw = unescape(raw)
	}
	if !o.take(raw) {
		r.err = r.s.fail(ErrDuplicate)
		return false
	}
	if r.s.space(); r.s.peek() != ':' {
		r.err = r.s.fail(ErrSyntax)
		return false
	}
	r.s.pos++
	r.s.space()
	return true
}

// take makes name the current one, unless it is there already or shadows another.
func (o *Object) take(name []byte) bool {
	if o.Names == nil {
		o.Name = string(name)
		return o.rest.add(name, false)
	}
	for i, known := range o.Names {
		if string(name) == known {
			bit := uint64(1) << i
			twice := o.known&bit != 0
			o.known |= bit
			o.Name = known
			return !twice
		}
	}
	o.Name = "" // no known one
	return !shadows(name, o.Names) && o.rest.add(name, true)
}

// wrongType tells a value of another kind from what is no JSON.
func (r *Reader) wrongType() {
	if r.err = r.s.value(r.depth); r.err == nil {
		r.err = r.s.fail(ErrType)
	}
}

// Null reads a null if that is next.
func (r *Reader) Null() bool {
	if r.err != nil || r.s.peek() != 'n' {
		return false
	}
	r.err = r.s.literal("null")
	return r.err == nil
}

// Text reads a string; null is the empty one.
func (r *Reader) Text() string {
	if r.err != nil || r.Null() {
		return ""
	}
	if r.s.peek() != '"' {
		r.wrongType()
		return ""
	}
	raw, escaped, err := r.s.text()
	if err != nil {
		r.err = err
		return ""
	}
	if escaped {
		return string(unescape(raw))
	}
	end := r.s.pos - 1
	return r.copy[end-len(raw) : end]
}

// Texts reads an array of strings; null is nil, and null inside it the empty string.
func (r *Reader) Texts() []string {
	if r.err != nil || r.Null() {
		return nil
	}
	out := []string{}
	for open := false; r.Element(&open); {
		out = append(out, r.Text())
	}
	if r.err != nil {
		return nil
	}
	return out
}

// TextMap reads an object of strings; null is nil, and null inside it the empty string.
func (r *Reader) TextMap() map[string]string {
	if r.err != nil || r.Null() {
		return nil
	}
	out := map[string]string{}
	o := Object{}
	for r.Member(&o) {
		out[o.Name] = r.Text()
	}
	if r.err != nil {
		return nil
	}
	return out
}

// Int reads a whole number of at most bits bits; null is 0.
func (r *Reader) Int(bits int) int64 {
	text := r.number()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		r.err = r.s.fail(ErrType)
		return 0
	}
	return n
}

// Uint reads a whole number that is not negative, of at most 64 bits; null is 0.
func (r *Reader) Uint() uint64 {
	text := r.number()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.err = r.s.fail(ErrType)
		return 0
	}
	return n
}

// number reads a number as it stands.
func (r *Reader) number() string {
	if r.err != nil || r.Null() {
		return ""
	}
	if c := r.s.peek(); c != '-' && (c < '0' || c > '9') {
		r.wrongType()
		return ""
	}
	start := r.s.pos
	if r.err = r.s.number(); r.err != nil {
		return ""
	}
	return r.copy[start:r.s.pos]
}

// Raw reads any value and returns a copy of its text.
func (r *Reader) Raw() json.RawMessage {
	start := r.s.pos
	r.Skip()
	if r.err != nil {
		return nil
	}
	return json.RawMessage(r.copy[start:r.s.pos])
}

// Skip reads any value.
func (r *Reader) Skip() {
	if r.err == nil {
		r.err = r.s.value(r.depth)
	}
}

// End returns the first error, or that something other than white space follows the object.
func (r *Reader) End() error {
	if r.err != nil {
		return r.err
	}
	if r.s.space(); r.s.pos != len(r.s.data) {
		return r.s.fail(ErrSyntax)
	}
	return nil
}
