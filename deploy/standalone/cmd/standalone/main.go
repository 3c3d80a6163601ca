// Standalone is nats-server and the three services in one process. See standalone -help.
package main

import "harmony.internal/authcallout/deploy/standalone"

func main() { standalone.Main() }
