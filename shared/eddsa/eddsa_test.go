package eddsa

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// sameVerdict compares the verification with crypto/ed25519's and returns what both say.
func sameVerdict(t testing.TB, public, message, signature []byte) bool {
	t.Helper()
	key, ok := NewKey(public)
	got, want := key.Verify(message, signature), ed25519.Verify(public, message, signature)
	if !ok && (got || key.SmallOrder()) {
		t.Fatalf("no key, but %+v", key)
	}
	if got != want {
		t.Fatalf("%t, crypto/ed25519 says %t: key %x, message %x, signature %x", got, want, public, message, signature)
	}
	return got
}

// specCheck are the cases of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko), in which implementations differ.
var specCheck = []struct {
	name                       string
	valid                      bool
	message, public, signature string
}{
	{"small order A and R", true,
		"8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000"},
	{"small order A, mixed order R", true,
		"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"},
	{"mixed order A, small order R", true,
		"aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e"},
	{"mixed order A and R", true,
		"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009"},
	{"verifies with the cofactor alone", false,
		"e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09"},
	{"verifies with the cofactor and a reduced hash alone", false,
		"e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405"},
	{"S above the order", false,
		"85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		"442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		"e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514"},
	{"S far above the order", false,
		"85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		"442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		"8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22"},
	{"mixed order A, R small and not canonical, hashed as reduced", false,
		"9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f"},
	{"mixed order A, R small and not canonical, hashed as it is", false,
		"9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908"},
	{"A small and not canonical, hashed as reduced", false,
		"e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"},
	{"A small and not canonical, hashed as it is", true,
		"39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"},
}

func TestVerifyWhereImplementationsDiffer(t *testing.T) {
	for _, c := range specCheck {
		t.Run(c.name, func(t *testing.T) {
			message, public, signature := must(hex.DecodeString(c.message)), must(hex.DecodeString(c.public)), must(hex.DecodeString(c.signature))
			if valid := sameVerdict(t, public, message, signature); valid != c.valid {
				t.Errorf("valid: %t", valid)
			}
		})
	}
}

// littleEndian returns n in 32 bytes, as Ed25519 writes numbers.
func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// points are encodings at the edges: of small order, not canonical (y from the field's prime on, or x = 0 with a sign), and of no
// point of the curve.
func points() [][]byte {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	var out [][]byte
	for _, y := range []int64{-20, -2, -1, 0, 1, 2, 3, 9, 18} {
		for _, base := range []*big.Int{new(big.Int), prime} {
			if n := new(big.Int).Add(base, big.NewInt(y)); n.Sign() >= 0 {
				out = append(out, littleEndian(n))
			}
		}
	}
	for _, order8 := range []string{
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		out = append(out, must(hex.DecodeString(order8)))
	}
	for _, p := range slices.Clone(out) {
		signed := bytes.Clone(p)
		signed[31] |= 0x80
		out = append(out, signed)
	}
	return out
}

// scalars are values of S around the group's order and the bounds of its encoding; its multiples are added to a valid one.
func scalars(valid []byte) [][]byte {
	order := new(big.Int).Lsh(big.NewInt(1), 252)
	order.Add(order, must10("27742317777372353535851937790883648493"))
	of := bytes.Clone(valid)
	slices.Reverse(of)
	s := new(big.Int).SetBytes(of)
	out := [][]byte{valid, bytes.Repeat([]byte{0xff}, 32)}
	for _, base := range []*big.Int{new(big.Int), order, s} {
		for times := range int64(8) {
			for _, d := range []int64{-1, 0, 1} {
				n := new(big.Int).Mul(order, big.NewInt(times))
				if n.Add(n, base).Add(n, big.NewInt(d)); n.Sign() >= 0 {
					out = append(out, littleEndian(n))
				}
			}
		}
	}
	return out
}

func must10(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic(s)
	}
	return n
}

// TestVerifyAtTheEdges puts every odd key with every odd R, where S = 0 makes some of them valid signatures, and every odd S with a
// good key.
func TestVerifyAtTheEdges(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	valid, refused := 0, 0
	count := func(ok bool) {
		if ok {
			valid++
		} else {
			refused++
		}
	}
	message := []byte("message")
	signature := ed25519.Sign(private, message)
	for _, a := range append(points(), public) {
		for _, r := range append(points(), signature[:32]) {
			for try := range byte(4) { // which are valid depends on the hash
				count(sameVerdict(t, a, []byte{try}, slices.Concat(r, make([]byte, 32))))
			}
		}
	}
	if valid < 10 || refused < 1000 {
		t.Errorf("%d valid, %d refused: these are no edges", valid, refused)
	}
	valid = 0
	for _, s := range scalars(signature[32:]) {
		count(sameVerdict(t, public, message, slices.Concat(signature[:32], s)))
	}
	if valid == 0 {
		t.Error("the valid S is refused")
	}
	for n := range signature {
		sameVerdict(t, public, message, signature[:n])
	}
	sameVerdict(t, public, message, append(bytes.Clone(signature), 0))
	for bit := range 8 * len(signature) {
		changed := bytes.Clone(signature)
		changed[bit/8] ^= 1 << (bit % 8)
		if sameVerdict(t, public, message, changed) {
			t.Errorf("valid without bit %d", bit)
		}
	}
	for _, key := range [][]byte{nil, public[:31], append(bytes.Clone(public), 0)} {
		if _, ok := NewKey(key); ok {
			t.Errorf("%d bytes are a key", len(key))
		}
	}
}

// TestSmallOrder: such keys are found, however they are written, and a good one is none of them.
func TestSmallOrder(t *testing.T) {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	at := func(y int64) []byte { return littleEndian(new(big.Int).Add(prime, big.NewInt(y))) }
	signed := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[31] |= 0x80
		return b
	}
	small := [][]byte{
		make([]byte, 32), at(0), signed(make([]byte, 32)), signed(at(0)), // order 4
		littleEndian(big.NewInt(1)), at(1), // the identity
		at(-1), // order 2
		must(hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
		must(hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
	}
	for _, p := range small {
		if k, ok := NewKey(p); !ok || !k.SmallOrder() {
			t.Errorf("%x: a key: %t, small: %t", p, ok, k.SmallOrder())
		}
	}
	// Nobody's key: S = 0 and R the identity are its signature over one message in a few.
	zero, _ := NewKey(small[0])
	forged := slices.Concat(littleEndian(big.NewInt(1)), make([]byte, 32))
	found := false
	for try := range byte(64) {
		found = found || zero.Verify([]byte{try}, forged)
	}
	if !found {
		t.Error("nothing can be forged: this test proves nothing")
	}
	for seed := range byte(8) {
		public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
		if k, ok := NewKey(public); !ok || k.SmallOrder() {
			t.Errorf("%x: a key: %t, small: %t", public, ok, k.SmallOrder())
		}
	}
	refused := 0
	for _, p := range points() {
		if _, ok := NewKey(p); !ok {
			refused++
		}
	}
	if refused == 0 || refused == len(points()) {
		t.Errorf("%d of %d encodings are no point", refused, len(points()))
	}
	if (Key{}).Verify(nil, make([]byte, ed25519.SignatureSize)) {
		t.Error("the zero Key verifies")
	}
}

// FuzzSign: a signature is nkeys' and crypto/ed25519's, byte for byte, and verifies; with bits of it changed the verdict is
// crypto/ed25519's.
func FuzzSign(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, ed25519.SeedSize), []byte("message"), 0, byte(1))
	f.Add(bytes.Repeat([]byte{255}, ed25519.SeedSize), []byte{}, 63, byte(0x10))
	f.Add(make([]byte, ed25519.SeedSize), make([]byte, 1000), 31, byte(0x80))
	f.Fuzz(func(t *testing.T, chosen, message []byte, at int, change byte) {
		seed := make([]byte, ed25519.SeedSize) // what was chosen of it, and zeros
		copy(seed, chosen)
		private := ed25519.NewKeyFromSeed(seed)
		public := private.Public().(ed25519.PublicKey)
		pair := must(nkeys.FromRawSeed(nkeys.PrefixByteAccount, seed))
		signature := Sign(private, message)
		if !bytes.Equal(signature, ed25519.Sign(private, message)) || !bytes.Equal(signature, must(pair.Sign(message))) {
			t.Fatalf("another signature of %x by %x", message, seed)
		}
		if !sameVerdict(t, public, message, signature) {
			t.Fatal("not verified")
		}
		signature[uint(at)%uint(len(signature))] ^= change
		sameVerdict(t, public, message, signature)
	})
}

// FuzzVerify: the verdict on any bytes is crypto/ed25519's.
func FuzzVerify(f *testing.F) {
	for _, c := range specCheck {
		f.Add(must(hex.DecodeString(c.public)), must(hex.DecodeString(c.message)), must(hex.DecodeString(c.signature)))
	}
	edges := points()
	for i, p := range edges {
		f.Add(p, []byte("message"), slices.Concat(edges[len(edges)-1-i], make([]byte, 32)))
	}
	f.Fuzz(func(t *testing.T, public, message, signature []byte) {
		if len(public) != ed25519.PublicKeySize { // with which crypto/ed25519 panics
			if _, ok := NewKey(public); ok {
				t.Fatalf("%d bytes are a key", len(public))
			}
			return
		}
		sameVerdict(t, public, message, signature)
	})
}

// BenchmarkEd25519 is what a login costs in signatures, here and with crypto/ed25519, in turn in one loop, so that a disturbance
// meets all of them; sign/crypto and verify/crypto are what matters.
func BenchmarkEd25519(b *testing.B) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	message := bytes.Repeat([]byte("m"), 900)
	signature := ed25519.Sign(private, message)
	key, ok := NewKey(public)
	if !ok {
		b.Fatal("no key")
	}
	steps := []func() bool{
		func() bool { return len(ed25519.Sign(private, message)) == len(signature) },
		func() bool { return len(Sign(private, message)) == len(signature) },
		func() bool { return ed25519.Verify(public, message, signature) },
		func() bool { return key.Verify(message, signature) },
	}
	took := make([]time.Duration, len(steps))
	n := 0
	for b.Loop() {
		n++
		for i, step := range steps {
			t0 := time.Now()
			if !step() {
				b.Fatal("failed")
			}
			took[i] += time.Since(t0)
		}
	}
	per := func(i int) float64 { return float64(took[i].Nanoseconds()) / float64(n) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(per(0), "crypto-sign-ns/op")
	b.ReportMetric(per(1), "sign-ns/op")
	b.ReportMetric(per(2), "crypto-verify-ns/op")
	b.ReportMetric(per(3), "verify-ns/op")
	b.ReportMetric(per(1)/per(0), "sign/crypto")
	b.ReportMetric(per(3)/per(2), "verify/crypto")
}
