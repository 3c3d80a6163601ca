// Package wire is the contract between callout, tokencheck and policy: subjects, headers, message types, the table of
// reason codes, and the codec. It holds no behaviour of any service and uses the standard library only (and
// strictjson, which does too), so that a reader can learn the whole contract here.
//
// The contract is append-only within a version. Members that a reader does not know are ignored, so that replicas of
// two releases can serve side by side; duplicate and case-folded members are refused, because encoding/json would let
// the last of them win. A code that a reader does not know never admits and counts as Transient.
package wire
