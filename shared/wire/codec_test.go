package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"harmony.internal/authcallout/shared/strictjson"
	"harmony.internal/authcallout/shared/wire"
)

var update = flag.Bool("update", false, "write the golden files")

var verified = wire.Verified{
	Issuer:    "https://zitadel.example.com",
	Subject:   "400938672414788646",
	ExpiresAt: 1795517272,
	IssuedAt:  1795474072,
	KeyID:     "400938385641835558",
	Algorithm: "RS256",
	TokenID:   "V2_1-at_2",
	Roles:     []string{"device"},
	Metadata:  map[string]string{"site": "Zürich"},
	Claims:    json.RawMessage(`{"iss":"https://zitadel.example.com","sub":"400938672414788646","exp":1795517272,"device_id":"sensor-a"}`),
	KeySet:    "c0ffee",
}

var decide = wire.DecideRequest{
	Token: verified,
	Client: wire.Client{
		Host: "192.0.2.7", ID: 17, Kind: "Client", Type: "mqtt", Name: "n", User: "u", MQTTClientID: "m",
		TLS:      &wire.ClientTLS{Subject: "CN=sensor-a", DNS: []string{"a.example.com"}, URIs: []string{"urn:a"}, Emails: []string{"a@example.com"}, SHA256: "abc"},
		ServerID: "NAAA", ServerName: "one",
	},
}

var handedOn = wire.DecideRequest{Token: decide.Token, Client: decide.Client, HandedOn: &wire.HandedOn{CheckMicros: 87}}

var grant = wire.Grant{
	Rule: "device", Device: "sensor-a", Account: "DEVICES",
	Publish:           wire.Permissions{Allow: []string{"device-state.sensor-a", "_INBOX.>"}},
	Subscribe:         wire.Permissions{Allow: []string{"device-commands.sensor-a", "_INBOX.>"}, Deny: []string{"secret.>"}},
	Responses:         &wire.Responses{Max: 1, TTLMillis: 5000},
	MaxSessionSeconds: 3600, PolicyGeneration: 3, PolicyHash: "beef",
}

// golden holds m against its file byte for byte, and reads the file back.
func golden[M wire.Message](t *testing.T, name string, m *M) {
	t.Helper()
	file := filepath.Join("testdata", name+".json")
	data, err := wire.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(data, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := append(data, '\n'); !bytes.Equal(got, want) {
		t.Errorf("%s: the contract changed\n got %s\nwant %s", name, got, want)
	}
	back, err := wire.Decode[M](want, len(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, m) {
		t.Errorf("%s: read back %+v, want %+v", name, back, m)
	}
}

func TestGoldens(t *testing.T) {
	golden(t, "check_request", &wire.CheckRequest{Token: "header.payload.signature", CertificateSHA256: "abc"})
	golden(t, "verified", &verified)
	golden(t, "decide_request", &decide)
	golden(t, "grant", &grant)
	golden(t, "grant_least", &wire.Grant{Rule: "device"})
	golden(t, "error", wire.Fail(wire.AudienceMismatch, "aud", nil))
	token := wire.Fail(wire.KeyUnknown, "known a b", nil)
	token.Token = &wire.TokenName{Check: "key", Issuer: "https://zitadel.example.com", KeyID: "c"}
	golden(t, "error_token", token)

	golden(t, "check_request_handed_on", &wire.CheckRequest{Token: "header.payload.signature", Client: &decide.Client})
	golden(t, "decide_request_handed_on", &handedOn)
	golden(t, "verified_granted", handedOn.Answer(&grant))
	refusal := wire.Fail(wire.NoMatchingRule, "", nil)
	refusal.Verified = handedOn.Answer(nil)
	golden(t, "error_verified", refusal)
}

// TestEncodeHandedOn: an encoded token takes part in a message as it stands.
func TestEncodeHandedOn(t *testing.T) {
	token, err := wire.Encode(&handedOn.Token)
	if err != nil {
		t.Fatal(err)
	}
	want, err := wire.Encode(&handedOn)
	if got := wire.EncodeHandedOn(token, &handedOn.Client, handedOn.HandedOn); err != nil || !bytes.Equal(got, want) {
		t.Errorf("wrote\n%s, want\n%s, %v", got, want, err)
	}
}

// sameDigest: who decides about a connection and who asked name it alike.
func sameDigest(t *testing.T, request []byte) {
	t.Helper()
	asked, err := wire.Decode[wire.CheckRequest](request, len(request))
	if err != nil || asked.Client == nil {
		return
	}
	onward, err := wire.Encode(&wire.DecideRequest{Client: *asked.Client})
	if err != nil {
		t.Fatal(err)
	}
	decided, err := wire.Decode[wire.DecideRequest](onward, len(onward))
	if err != nil || decided.Client.Digest() != asked.Client.Digest() {
		t.Errorf("%+v was asked about, %+v is decided, %v", asked.Client, decided, err)
	}
}

// TestClientDigest: no two connections have the same.
func TestClientDigest(t *testing.T) {
	clients := []wire.Client{{}, decide.Client}
	fields := reflect.TypeFor[wire.Client]()
	for i := range fields.NumField() {
		c := decide.Client
		reflect.ValueOf(&c).Elem().Field(i).SetZero()
		clients = append(clients, c)
	}
	for i, other := range []wire.ClientTLS{{}, {DNS: []string{"a", "b"}}, {DNS: []string{"a"}, URIs: []string{"b"}}, {DNS: []string{`a","b`}}} {
		c := decide.Client
		c.TLS = &other
		clients, c.ID = append(clients, c), uint64(i)
		clients = append(clients, c)
	}
	seen := map[string]int{}
	for i := range clients {
		digest := clients[i].Digest()
		if before, dup := seen[digest]; dup || len(digest) != 43 {
			t.Errorf("%+v and %+v: %s", clients[before], clients[i], digest)
		}
		seen[digest] = i
	}
}

// TestReasonsAreAppendOnly holds the table against a list that only grows.
func TestReasonsAreAppendOnly(t *testing.T) {
	var b strings.Builder
	codes, reasonNames := map[wire.Code]bool{}, map[string]bool{}
	for _, r := range wire.Reasons() {
		fmt.Fprintf(&b, "%d %s %s\n", r.Code, r.Name, r.Class)
		if codes[r.Code] || reasonNames[r.Name] {
			t.Errorf("%d %s stands twice", r.Code, r.Name)
		}
		codes[r.Code], reasonNames[r.Name] = true, true
		if definite := r.Code < 5000; definite != (r.Class == wire.Definite) {
			t.Errorf("%d %s is %s", r.Code, r.Name, r.Class)
		}
		if r.Text == "" || r.Code.String() != r.Name || r.Code.Class() != r.Class {
			t.Errorf("%d %s: row and look-up differ", r.Code, r.Name)
		}
	}
	file := filepath.Join("testdata", "reasons.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	have := "\n" + b.String()
	for line := range strings.Lines(string(want)) {
		if !strings.Contains(have, "\n"+line) {
			t.Errorf("row %q is gone or changed", strings.TrimSpace(line))
		}
	}
	if len(want) != b.Len() {
		t.Error("rows were added; run the test with -update")
	}
}

func TestUnknownCodeIsTransient(t *testing.T) {
	c := wire.Code(1999)
	if _, ok := c.Reason(); ok || c.Class() != wire.Transient || c.String() != "unknown_1999" {
		t.Errorf("%v %v", c.Class(), c)
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := `{"rule":` + strings.Repeat("[", wire.MaxDepth) + strings.Repeat("]", wire.MaxDepth) + `}`
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"twice", `{"rule":"a","rule":"b"}`, strictjson.ErrDuplicate},
		{"case", `{"Rule":"a"}`, strictjson.ErrDuplicate},
		{"long s", `{"policy_haſh":"a"}`, strictjson.ErrDuplicate},
		{"too deep", deep, strictjson.ErrTooLarge},
		{"too long", `{"rule":"` + strings.Repeat("a", 200) + `"}`, strictjson.ErrTooLarge},
		{"not an object", `[]`, strictjson.ErrSyntax},
		{"nothing", ``, strictjson.ErrSyntax},
	} {
		if _, err := wire.Decode[wire.Grant]([]byte(tt.text), 200); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := wire.Decode[wire.Grant]([]byte(`{"rule":1}`), 200); !errors.Is(err, strictjson.ErrType) {
		t.Errorf("wrong type: %v", err)
	}
	if g, err := wire.Decode[wire.Grant]([]byte(`{"rule":"a","later":{"x":[1]}}`), 200); err != nil || g.Rule != "a" {
		t.Errorf("an unknown member must be ignored: %v", err)
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	cause := errors.New("dial refused")
	e := wire.Fail(wire.KeySetUnavailable, "issuer 1", cause)
	if !errors.Is(e, cause) || wire.CodeOf(fmt.Errorf("wrapped: %w", e)) != wire.KeySetUnavailable || wire.CodeOf(cause) != wire.Internal {
		t.Error("the chain is broken")
	}
	if data, err := wire.Encode(e); err != nil || bytes.Contains(data, []byte("dial")) {
		t.Errorf("the cause crossed the wire: %s %v", data, err)
	}
}

func TestSubjects(t *testing.T) {
	s, err := wire.NewSubjects("")
	if err != nil || s.TokenCheck() != "auth.v1.token.check" || s.PolicyDecide() != "auth.v1.policy.decide" || s.Kick("N1") != "auth.kick.N1" {
		t.Errorf("%v %v", s, err)
	}
	if s, err := wire.NewSubjects("east_1"); err != nil || s.TokenCheck() != "east_1.v1.token.check" {
		t.Errorf("%v %v", s, err)
	}
	for _, bad := range []string{"a.b", "*", ">", "$SYS", " ", strings.Repeat("a", 65)} {
		if _, err := wire.NewSubjects(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// reference decodes as the contract's tags say, with encoding/json.
func reference[M wire.Message](data []byte, maxBytes int) (*M, error) {
	t := reflect.TypeFor[M]()
	names := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	limits := strictjson.Limits{MaxBytes: maxBytes, MaxDepth: wire.MaxDepth, MaxMembers: maxBytes}
	if err := strictjson.CheckObject(data, limits, names...); err != nil {
		return nil, err
	}
	m := new(M)
	return m, json.Unmarshal(data, m)
}

// fuzzMessage holds the codec against encoding/json: what is read means the same, and what is written reads the same.
func fuzzMessage[M wire.Message](t *testing.T, data []byte) {
	t.Helper()
	m, err := wire.Decode[M](data, 1<<12)
	want, wantErr := reference[M](data, 1<<12)
	switch {
	case err == nil && wantErr != nil:
		t.Fatalf("%T accepted what the reference refuses: %v", m, wantErr)
	case err != nil:
		// encoding/json matches names inside inner objects whatever their case; the codec refuses what could be meant so.
		if wantErr == nil && !errors.Is(err, strictjson.ErrDuplicate) {
			t.Fatalf("%T refused what the reference accepts: %v", m, err)
		}
		return
	case !reflect.DeepEqual(m, want):
		t.Fatalf("read %+v, want %+v", m, want)
	}
	once, err := wire.Encode(m)
	if err != nil {
		t.Fatalf("cannot encode what was decoded: %v", err)
	}
	var back M
	if err := json.Unmarshal(once, &back); err != nil {
		t.Fatalf("encoding/json cannot read it: %v\n%s", err, once)
	}
	wanted, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(&back) // claims are compacted by this
	if err != nil || !bytes.Equal(written, wanted) {
		t.Fatalf("wrote %s, want %s", written, wanted)
	}
	if _, err := wire.Decode[M](once, 1<<16); err != nil {
		t.Fatalf("cannot decode what was encoded: %v\n%s", err, once)
	}
}

// fill sets every field below v to something that is not its zero value.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k, n)
		fill(e, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.String:
		v.SetString(fmt.Sprintf("%d <\"\u00e9\\>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint64, reflect.Uint32, reflect.Uint:
		v.SetUint(uint64(*n))
	default:
		v.SetInt(*n)
	}
}

// everyField holds the codec against the tags: no field is left out, none is named otherwise.
func everyField[M wire.Message](t *testing.T) {
	t.Helper()
	m, n := new(M), int64(0)
	fill(reflect.ValueOf(m).Elem(), &n)
	for _, m := range []*M{m, new(M)} {
		want, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Encode(m)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("wrote\n%s, want\n%s", got, want)
		}
		back, err := wire.Decode[M](want, len(want))
		if err != nil {
			t.Fatal(err)
		}
		wanted := new(M)
		if err := json.Unmarshal(want, wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, wanted) {
			t.Errorf("read\n%+v, want\n%+v", back, wanted)
		}
	}
}

func TestEveryField(t *testing.T) {
	everyField[wire.CheckRequest](t)
	everyField[wire.Verified](t)
	everyField[wire.DecideRequest](t)
	everyField[wire.Grant](t)
	everyField[wire.Error](t)
}

// BenchmarkCodec compares the codec with the reference, both ways.
func BenchmarkCodec(b *testing.B) {
	text, err := wire.Encode(&decide)
	if err != nil {
		b.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"decode":           func() error { _, err := wire.Decode[wire.DecideRequest](text, len(text)); return err },
		"decode reference": func() error { _, err := reference[wire.DecideRequest](text, len(text)); return err },
		"encode":           func() error { _, err := wire.Encode(&decide); return err },
		"encode reference": func() error { _, err := json.Marshal(&decide); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no goldens", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzMessage[wire.CheckRequest](t, data)
		fuzzMessage[wire.DecideRequest](t, data)
		fuzzMessage[wire.Grant](t, data)
		fuzzMessage[wire.Error](t, data)
		fuzzMessage[wire.Verified](t, data)
		sameDigest(t, data)
	})
}
