package wire

import (
	"bytes"
	"errors"
	"strconv"
)

// Several requests to one service, or several replies to one requester, may share a message. Such a message has the header
// HeaderBatch, and its body is one item after the other: a line of fields, which a space separates, the body of the single
// message, a line feed.
//
//	request   ID BUDGET_MS REQUEST_ID LENGTH
//	reply     ID CODE LENGTH
//
// ID names the item for the requester: as hard to guess as a reply subject, in no other request. CODE is 0 for success, else
// the body is an Error. Every item is judged, served and answered by itself: the replies to one batch may come in several
// messages and in any order. A receiver that knows no batches answers with an error that is no batch, and the items are then
// sent one by one.

// HeaderBatch marks a batch; its value is the number of items.
const HeaderBatch = "Auth-Batch"

// Bounds of a batch. Each item is answered once, so that a user that answers needs allow_responses with max MaxBatchItems.
const (
	MaxBatchItems = 32
	// MaxBatchBytes bounds the body of a batch of more than one item, in bytes.
	MaxBatchBytes = 128 << 10
	// maxBatchField bounds an id, in bytes.
	maxBatchField = 64
)

// ErrBatch says that a body is not a batch.
var ErrBatch = errors.New("not a batch")

// BatchRequest is one request of a batch. Body shares memory with the message.
type BatchRequest struct {
	ID           string
	BudgetMillis int64
	RequestID    string
	Body         []byte
}

// BatchReply is one reply of a batch. Body shares memory with the message.
type BatchReply struct {
	ID   string
	Code Code
	Body []byte
}

// AppendBatchRequest appends one item. ID and RequestID must be non-empty and without white space.
func AppendBatchRequest(b []byte, q *BatchRequest) []byte {
	b = append(append(b, q.ID...), ' ')
	b = append(strconv.AppendInt(b, q.BudgetMillis, 10), ' ')
	b = append(append(b, q.RequestID...), ' ')
	return appendBody(b, q.Body)
}

// AppendBatchReply appends one item.
func AppendBatchReply(b []byte, r *BatchReply) []byte {
	b = append(append(b, r.ID...), ' ')
	b = append(strconv.AppendInt(b, int64(r.Code), 10), ' ')
	return appendBody(b, r.Body)
}

func appendBody(b, body []byte) []byte {
	b = append(strconv.AppendInt(b, int64(len(body)), 10), '\n')
	return append(append(b, body...), '\n')
}

// ReadBatchRequests returns the items of a batch, at least one and at most MaxBatchItems.
func ReadBatchRequests(data []byte) ([]BatchRequest, error) {
	items := make([]BatchRequest, 0, 8)
	for len(data) > 0 && len(items) < MaxBatchItems {
		fields, body, rest, ok := nextItem[[4][]byte](data)
		budget, ok2 := number(fields[1])
		if !ok || !ok2 {
			return nil, ErrBatch
		}
		items = append(items, BatchRequest{ID: string(fields[0]), BudgetMillis: budget, RequestID: string(fields[2]), Body: body})
		data = rest
	}
	if len(data) > 0 || len(items) == 0 {
		return nil, ErrBatch
	}
	return items, nil
}

// IsBatchRequestLine says whether line, without its line feed, is what stands before a request in a batch, for a reader of recorded
// messages line by line.
func IsBatchRequestLine(line []byte) bool {
	fields, ok := fieldsOf[[4][]byte](line)
	_, budget := number(fields[1])
	_, length := number(fields[3])
	return ok && budget && length
}

// ReadBatchReplies returns the items of a batch, at least one and at most MaxBatchItems.
func ReadBatchReplies(data []byte) ([]BatchReply, error) {
	items := make([]BatchReply, 0, 8)
	for len(data) > 0 && len(items) < MaxBatchItems {
		fields, body, rest, ok := nextItem[[3][]byte](data)
		code, ok2 := number(fields[1])
		if !ok || !ok2 {
			return nil, ErrBatch
		}
		items = append(items, BatchReply{ID: string(fields[0]), Code: Code(code), Body: body})
		data = rest
	}
	if len(data) > 0 || len(items) == 0 {
		return nil, ErrBatch
	}
	return items, nil
}

// nextItem cuts one item off data: fields, the last of which is the length of the body, and body.
func nextItem[F [3][]byte | [4][]byte](data []byte) (fields F, body, rest []byte, ok bool) {
	line, _, ok := bytes.Cut(data[:min(len(data), 4*maxBatchField)], []byte{'\n'})
	if !ok {
		return fields, nil, nil, false
	}
	rest = data[len(line)+1:]
	if fields, ok = fieldsOf[F](line); !ok {
		return fields, nil, nil, false
	}
	length, ok := number(fields[len(fields)-1])
	if !ok || length >= int64(len(rest)) || rest[length] != '\n' {
		return fields, nil, nil, false
	}
	return fields, rest[:length:length], rest[length+1:], true
}

// fieldsOf cuts an item's line, without its line feed, into its fields.
func fieldsOf[F [3][]byte | [4][]byte](line []byte) (fields F, ok bool) {
	for i := range len(fields) {
		var more bool
		fields[i], line, more = bytes.Cut(line, []byte{' '})
		if len(fields[i]) == 0 || len(fields[i]) > maxBatchField || more != (i < len(fields)-1) {
			return fields, false
		}
	}
	return fields, true
}

// number reads a decimal without sign that fits 31 bits.
func number(text []byte) (int64, bool) {
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' || len(text) > 10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(text) > 0 && n <= 1<<31-1
}
