package cluster

// Shape is one way to lay out servers, accounts and keys. Every scenario runs over all of them.
type Shape struct {
	Name string
	// Hardened is the topology that is shipped: accounts, users and permissions as deploy/topology renders them. The other
	// is the reference topology, in which services and devices share an account.
	Hardened bool
	// Sealed requests are encrypted for the callout (xkey).
	Sealed bool
	// Servers in one cluster.
	Servers int
}

// Reference is one account, passwords, no right to hang up.
func Reference() Shape { return Shape{Name: "reference", Servers: 1} }

// Hardened is what is shipped, without an xkey.
func Hardened() Shape { return Shape{Name: "hardened", Hardened: true, Servers: 1} }

// Sealed is what is shipped.
func Sealed() Shape { return Shape{Name: "hardened+xkey", Hardened: true, Sealed: true, Servers: 1} }

// Three is what is shipped, with three servers in one cluster. For what does not depend on the number of servers one is enough.
func Three() Shape { return Shape{Name: "three servers", Hardened: true, Sealed: true, Servers: 3} }

// Shapes are all those of one server.
func Shapes() []Shape { return []Shape{Reference(), Hardened(), Sealed()} }
