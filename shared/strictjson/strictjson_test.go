package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"harmony.internal/authcallout/shared/strictjson"
)

var limits = strictjson.Limits{MaxBytes: 1 << 16, MaxDepth: 8, MaxMembers: 1000}

func nested(n int) string {
	return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
}

func many(n int, name string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, "%q:1,", fmt.Sprintf("m%d", i))
	}
	return b.String() + name + `:2}`
}

func TestCheckObject(t *testing.T) {
	names := []string{"sub", "iss", "kid"}
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"empty object", `{}`, nil},
		{"every kind of value", ` {"a":[1,-0.5e+3,true,false,null,"\u00e9\n",{"b":{}}], "c" : "é" } `, nil},
		{"surrogate pair", `{"a":"\ud83d\ude00"}`, nil},
		{"same member in two objects", `{"a":{"x":1},"b":{"x":1}}`, nil},
		{"case twins below the top", `{"roles":{"Device":1,"device":2}}`, nil},
		{"as deep as allowed", nested(7), nil},

		{"member twice", `{"sub":"a","sub":"b"}`, strictjson.ErrDuplicate},
		{"member twice below the top", `{"a":[{"x":1,"x":2}]}`, strictjson.ErrDuplicate},
		{"member twice, once escaped", `{"sub":"a","s\u0075b":"b"}`, strictjson.ErrDuplicate},
		{"member twice, escaped pair", `{"😀":1,"\ud83d\ude00":2}`, strictjson.ErrDuplicate},
		{"case twins", `{"sub":"a","SUB":"b"}`, strictjson.ErrDuplicate},
		{"long s", `{"sub":"a","ſub":"b"}`, strictjson.ErrDuplicate},
		{"kelvin sign", `{"x":1,"kid":1,"\u212aid":2}`, strictjson.ErrDuplicate},
		{"known name in another case alone", `{"Sub":"a"}`, strictjson.ErrDuplicate},
		{"known name with long s alone", `{"iſs":"a"}`, strictjson.ErrDuplicate},
		{"twins among many", many(40, `"M7"`), strictjson.ErrDuplicate},
		{"twice among many", many(40, `"m7"`), strictjson.ErrDuplicate},

		{"too deep", nested(8), strictjson.ErrTooLarge},
		{"far too deep", nested(20000), strictjson.ErrTooLarge},
		{"too many members", many(1000, `"x"`), strictjson.ErrTooLarge},
		{"too many elements", `{"a":[` + strings.Repeat("1,", 1000) + `1]}`, strictjson.ErrTooLarge},
		{"too long", `{"a":"` + strings.Repeat("x", 1<<16) + `"}`, strictjson.ErrTooLarge},

		{"nothing", ``, strictjson.ErrSyntax},
		{"an array", `[]`, strictjson.ErrSyntax},
		{"a string", `"a"`, strictjson.ErrSyntax},
		{"byte order mark", "\ufeff{}", strictjson.ErrSyntax},
		{"two objects", `{}{}`, strictjson.ErrSyntax},
		{"trailing comma", `{"a":1,}`, strictjson.ErrSyntax},
		{"no comma", `{"a":1 "b":2}`, strictjson.ErrSyntax},
		{"unterminated", `{"a":"b`, strictjson.ErrSyntax},
		{"comment", `{"a":1/**/}`, strictjson.ErrSyntax},
		{"leading zero", `{"a":01}`, strictjson.ErrSyntax},
		{"no fraction", `{"a":1.}`, strictjson.ErrSyntax},
		{"no exponent", `{"a":1e}`, strictjson.ErrSyntax},
		{"plus", `{"a":+1}`, strictjson.ErrSyntax},
		{"NaN", `{"a":NaN}`, strictjson.ErrSyntax},
		{"wrong literal", `{"a":nul1}`, strictjson.ErrSyntax},
		{"cut literal", `{"a":tru`, strictjson.ErrSyntax},
		{"control character", "{\"a\":\"\x01\"}", strictjson.ErrSyntax},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", strictjson.ErrSyntax},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", strictjson.ErrSyntax},
		{"half a surrogate pair", `{"a":"\ud83d"}`, strictjson.ErrSyntax},
		{"two high surrogates", `{"a":"\ud83d\ud83d"}`, strictjson.ErrSyntax},
		{"low surrogate first", `{"a":"\ude00\ud83d"}`, strictjson.ErrSyntax},
		{"unknown escape", `{"a":"\x41"}`, strictjson.ErrSyntax},
		{"cut escape", `{"a":"\u12`, strictjson.ErrSyntax},
		{"single quotes", `{'a':1}`, strictjson.ErrSyntax},
		{"number as name", `{1:1}`, strictjson.ErrSyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := strictjson.CheckObject([]byte(tt.text), limits, names...)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && !json.Valid([]byte(tt.text)) {
				t.Fatal("accepted what encoding/json refuses")
			}
		})
	}
}

func TestCheckObjectDoesNotAllocate(t *testing.T) {
	text := []byte(`{"iss":"https://id.example.com","sub":"1","aud":["2"],"exp":3,"roles":{"device":{"4":"d"}}}`)
	names := []string{"sub", "iss"}
	if n := testing.AllocsPerRun(100, func() {
		if err := strictjson.CheckObject(text, limits, names...); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// unique reports, by way of encoding/json's own tokens, whether no object holds a member twice.
func unique(dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return true
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil || seen[name.(string)] {
				return false
			}
			seen[name.(string)] = true
		}
		if !unique(dec) {
			return false
		}
	}
	_, err = dec.Token()
	return err == nil
}

func FuzzCheckObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":"\u00e9"}]}`, `{"sub":"a","SUB":"b"}`, many(20, `"x"`), nested(5), `{"a":"\ud83d\ude00"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := strictjson.CheckObject(data, limits); err != nil {
			if _, other := strictjson.Members(data, limits); other == nil || other.Error() != err.Error() {
				t.Fatalf("Members says %v, CheckObject %v", other, err)
			}
			return
		}
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil || !json.Valid(data) {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !unique(json.NewDecoder(bytes.NewReader(data))) {
			t.Fatal("accepted a member twice")
		}
		members, err := strictjson.Members(data, limits)
		var raw map[string]json.RawMessage
		if err != nil || json.Unmarshal(data, &raw) != nil || !reflect.DeepEqual(members, raw) {
			t.Fatalf("members %q, %v; encoding/json says %q", members, err, raw)
		}
		for a := range m {
			for b := range m {
				if a != b && strings.EqualFold(a, b) {
					t.Fatalf("accepted %q beside %q", a, b)
				}
			}
		}
	})
}

// TestFoldingOfEveryFirstCharacter: two members are told apart as strings.EqualFold does, whatever character they begin with.
func TestFoldingOfEveryFirstCharacter(t *testing.T) {
	firsts := []rune{0x7f, 'ſ', 'K', 'é', 'É', 'ß', 'ẞ', 'Å', 'å'}
	for c := rune(' '); c < utf8.RuneSelf; c++ {
		firsts = append(firsts, c)
	}
	for _, first := range firsts {
		for _, second := range firsts {
			a, b := string(first)+"s", string(second)+"S"
			quoted := func(name string) string { return string(must(json.Marshal(name))) }
			for how, err := range map[string]error{
				"beside it": strictjson.CheckObject([]byte("{"+quoted(a)+":1,"+quoted(b)+":2}"), limits),
				"by name":   strictjson.CheckObject([]byte("{"+quoted(a)+":1}"), limits, b),
			} {
				if refused := errors.Is(err, strictjson.ErrDuplicate); refused != strings.EqualFold(a, b) {
					t.Fatalf("%q and %q %s: %v", a, b, how, err)
				}
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func BenchmarkCheckObject(b *testing.B) {
	text := []byte(`{"aud":["400938672314125350"],"client_id":"sensor-a","exp":1795517272,"iat":1795474072,"iss":"http://localhost:18080","jti":"V2_1-at_2","nbf":1795474072,"sub":"400938672414788646","urn:zitadel:iam:org:project:400938672314125350:roles":{"device":{"400938383779630118":"zitadel.localhost"}}}`)
	b.Run("strictjson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := strictjson.CheckObject(text, limits, "sub", "iss", "aud", "exp", "nbf", "iat"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Members", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := strictjson.Members(text, limits, "sub", "iss", "aud", "exp", "nbf", "iat"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json.Unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(text, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json.Valid", func(b *testing.B) {
		for b.Loop() {
			if !json.Valid(text) {
				b.Fatal("invalid")
			}
		}
	})
}

// FuzzAppendText: the same bytes as encoding/json.
func FuzzAppendText(f *testing.F) {
	for _, seed := range []string{"", "a", "_INBOX.>", `"\`, "\x00\x7f\t", "\xff", "é\u2028", "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal([]string{s, s})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{s: s, "b": "1", "a": "2"}
		if wantMap, err := json.Marshal(m); err != nil || utf8.ValidString(s) && !bytes.Equal(strictjson.AppendTextMap(nil, m), wantMap) {
			t.Errorf("%s, want %s, %v", strictjson.AppendTextMap(nil, m), wantMap, err)
		}
		if got := strictjson.AppendTexts(nil, []string{s, s}); !bytes.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// read reads a flat object as encoding/json reads it into sample.
func read(data []byte) (s sample, err error) {
	r := strictjson.NewReader(data, limits)
	o := strictjson.Object{Names: []string{"text", "list", "n", "u", "raw", "in", "map"}}
	for r.Member(&o) {
		switch o.Name {
		case "text":
			s.Text = r.Text()
		case "list":
			s.List = r.Texts()
		case "n":
			s.N = int32(r.Int(32))
		case "u":
			s.U = r.Uint()
		case "map":
			s.Map = r.TextMap()
		case "raw":
			s.Raw = r.Raw()
		case "in":
			inner := strictjson.Object{Names: []string{"x"}}
			for r.Member(&inner) {
				if inner.Name != "x" {
					r.Skip()
					continue
				}
				if r.Null() {
					continue
				}
				s.In.X = [][]string{}
				for open := false; r.Element(&open); {
					s.In.X = append(s.In.X, r.Texts())
				}
			}
		default:
			r.Skip()
		}
	}
	return s, r.End()
}

type sample struct {
	Text string            `json:"text"`
	List []string          `json:"list"`
	N    int32             `json:"n"`
	U    uint64            `json:"u"`
	Raw  json.RawMessage   `json:"raw"`
	Map  map[string]string `json:"map"`
	In   struct {
		X [][]string `json:"x"`
	} `json:"in"`
}

func TestReaderRefuses(t *testing.T) {
	for text, want := range map[string]error{
		`{"text":1}`: strictjson.ErrType, `{"n":"1"}`: strictjson.ErrType, `{"n":2147483648}`: strictjson.ErrType, `{"u":-1}`: strictjson.ErrType,
		`{"n":1.0}`: strictjson.ErrType, `{"list":{}}`: strictjson.ErrType, `{"in":[]}`: strictjson.ErrType, `{"list":[1]}`: strictjson.ErrType,
		`{"text":"a","text":"b"}`: strictjson.ErrDuplicate, `{"TEXT":"a"}`: strictjson.ErrDuplicate, `{"in":{"X":[]}}`: strictjson.ErrDuplicate, `{"map":{"a":"1","a":"2"}}`: strictjson.ErrDuplicate, `{"map":{"a":1}}`: strictjson.ErrType,
		`{"other":1,"OTHER":2}`: strictjson.ErrDuplicate, `{"raw":{"a":1,"a":2}}`: strictjson.ErrDuplicate, `{"in":{"y":{"a":1,"a":2}}}`: strictjson.ErrDuplicate,
		`{"text":"a"} x`: strictjson.ErrSyntax, `{"text":"a",}`: strictjson.ErrSyntax, `{"text" "a"}`: strictjson.ErrSyntax, `{"list":["a"`: strictjson.ErrSyntax,
		`{"n":01}`: strictjson.ErrSyntax, `[]`: strictjson.ErrSyntax, `null`: strictjson.ErrSyntax, ``: strictjson.ErrSyntax, `{"text":"` + "\xff" + `"}`: strictjson.ErrSyntax,
		`{"raw":` + nested(limits.MaxDepth) + `}`: strictjson.ErrTooLarge,
	} {
		if _, err := read([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", text, err, want)
		}
	}
}

// FuzzReader: what is read is what encoding/json reads.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a\u00e9\"","list":["a",null,"b"],"n":-7,"u":9,"raw":{"a":[1,{"b":null}]},"in":{"x":[["a"],null,[]],"y":1},"map":{"b":"1","B":"2","a":null,"\u00e9":"\n"},"z":[true,false,1e3]}`,
		`{}`, `{"text":null,"list":null,"n":null,"u":null,"raw":null,"in":null}`, `{"list":[],"in":{}}`, "\n{ \"text\" :\t\"a\" }\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read(data)
		if err != nil {
			return
		}
		if err := strictjson.CheckObject(data, limits, "text", "list", "n", "u", "raw", "in", "map"); err != nil {
			t.Fatalf("accepted what CheckObject refuses: %v", err)
		}
		var want sample
		if err := json.Unmarshal(data, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v, %v", got, want, err)
		}
	})
}
