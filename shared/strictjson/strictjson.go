package strictjson

import "errors"

// Limits bounds a text. Every field must be positive.
type Limits struct {
	MaxBytes   int // length of the text
	MaxDepth   int // nesting of arrays and objects; 1 is a flat object
	MaxMembers int // members and elements in the whole text
}

// ErrNotImplemented is replaced with the checks themselves.
var errNotImplemented = errors.New("strictjson: not implemented")

// CheckObject reports what is wrong with data, which must be exactly one JSON object (RFC 8259) within lim: valid
// UTF-8, no member twice in one object at any depth, in the outermost object no two members that are equal under
// Unicode simple case folding, none that folds to one of names without being it, and nothing but white space after it.
// It allocates only for long objects and escaped names. Safe for concurrent use.
func CheckObject(data []byte, lim Limits, names ...string) error { return errNotImplemented }
