package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/wire"
)

func TestBatch(t *testing.T) {
	requests := []wire.BatchRequest{
		{ID: "a1", BudgetMillis: 1850, RequestID: "r1", Body: []byte(`{"token":"x"}`)},
		{ID: "b2", BudgetMillis: 0, RequestID: "r2", Body: []byte("two\nlines\n")},
		{ID: "c3", BudgetMillis: 1, RequestID: "r3", Body: []byte{}},
	}
	var text []byte
	for i := range requests {
		text = wire.AppendBatchRequest(text, &requests[i])
	}
	if want := "a1 1850 r1 13\n{\"token\":\"x\"}\nb2 0 r2 10\ntwo\nlines\n\nc3 1 r3 0\n\n"; string(text) != want {
		t.Errorf("the contract changed: %q, want %q", text, want)
	}
	if got, err := wire.ReadBatchRequests(text); err != nil || !reflect.DeepEqual(got, requests) {
		t.Errorf("%+v, %v", got, err)
	}
	for line, want := range map[string]bool{
		"a1 1850 r1 13": true, "c3 1 r3 0": true, `{"token":"x"}`: false, `{"a": 1, "b": 2}`: false, "two": false, "": false,
		"a1 1850 r1 x": false, "a1 x r1 13": false, "a1 1850 13": false, "a1 1850 r1 13 ": false,
	} {
		if got := wire.IsBatchRequestLine([]byte(line)); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
	replies := []wire.BatchReply{{ID: "b2", Body: []byte("ok")}, {ID: "a1", Code: wire.TokenExpired, Body: []byte(`{"code":1}`)}}
	text = nil
	for i := range replies {
		text = wire.AppendBatchReply(text, &replies[i])
	}
	if got, err := wire.ReadBatchReplies(text); err != nil || !reflect.DeepEqual(got, replies) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBatchRefuses(t *testing.T) {
	item := "a 1 r 1\nx\n"
	for _, text := range []string{
		"", "\n", "a 1 r 1\nx", "a 1 r 2\nx\n", "a 1 r -1\nx\n", "a 1 r +1\nx\n", "a 1 r 99999999999\nx\n", "a 1 r 1 \nx\n", "a  r 1\nx\n", " 1 r 1\nx\n", "a x r 1\nx\n",
		"a 1 1\nx\n", "a 1 r 4294967296\nx\n", strings.Repeat("a", 65) + " 1 r 1\nx\n", item + "?", `{"token":"x"}`, strings.Repeat(item, wire.MaxBatchItems+1),
	} {
		if got, err := wire.ReadBatchRequests([]byte(text)); err == nil {
			t.Errorf("%.40q was accepted: %+v", text, got)
		}
	}
	if got, err := wire.ReadBatchRequests([]byte(strings.Repeat(item, wire.MaxBatchItems))); err != nil || len(got) != wire.MaxBatchItems {
		t.Errorf("a full batch: %v", err)
	}
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte("a1 1850 r1 13\n{\"token\":\"x\"}\nb2 0 r2 10\ntwo\nlines\n\n"))
	f.Add([]byte("a 0 2\nok\nb 1001 0\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if items, err := wire.ReadBatchRequests(data); err == nil {
			var text []byte
			for i := range items {
				text = wire.AppendBatchRequest(text, &items[i])
			}
			if again, err := wire.ReadBatchRequests(text); err != nil || !reflect.DeepEqual(again, items) {
				t.Errorf("%q is not %q: %v", text, data, err)
			}
		}
		if items, err := wire.ReadBatchReplies(data); err == nil {
			var text []byte
			for i := range items {
				text = wire.AppendBatchReply(text, &items[i])
			}
			if again, err := wire.ReadBatchReplies(text); err != nil || !reflect.DeepEqual(again, items) || len(text) > len(data) && !bytes.Contains(data, []byte(" 0")) {
				t.Errorf("%q is not %q: %v", text, data, err)
			}
		}
	})
}
