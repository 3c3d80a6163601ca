// Package strictjson checks JSON text from outside before encoding/json sees it. encoding/json lets the last of several
// equal members win, matches struct fields whatever the case of the member, and nests as deep as it is told; each of
// these has let a forged claim stand beside a true one. This package refuses such text and decodes nothing itself.
//
// It uses the standard library only.
package strictjson
