package faults_test

import (
	"testing"

	"harmony.internal/authcallout/e2e/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }
