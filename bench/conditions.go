package bench

import (
	"fmt"
	"sync/atomic"
)

// warmTokens is how many devices a warm cache has seen before.
const warmTokens = 500

// Conditions starts every system whose parts are there and returns the rows of the speed table. stop ends the systems.
// perRound is how many handshakes one round takes, rounds how many rounds there are, at full speed and at half load each.
func (l *Lab) Conditions(perRound, rounds int, only func(key string) bool) (list []Condition, stop func(), err error) {
	var systems []*System
	stopAll := func() {
		for _, s := range systems {
			s.Stop()
		}
	}
	defer func() {
		if err != nil {
			stopAll()
		}
	}()
	one, err := l.Handshakes("RS256", 1)
	if err != nil {
		return nil, nil, err
	}
	add := func(key string, start func() (*System, error), conditions func(*System) ([]Condition, error)) error {
		if !only(key) {
			return nil
		}
		s, err := start()
		if err != nil {
			return err
		}
		systems = append(systems, s)
		added, err := conditions(s)
		list = append(list, added...)
		return err
	}
	constant := func(key string, hs [][]byte) func(*System) ([]Condition, error) {
		return func(s *System) ([]Condition, error) {
			return []Condition{{key, s.Name, s, func(n int) [][]byte { return Repeat(hs, n) }}}, s.Ready(hs[0])
		}
	}
	verified := func(key string, algorithms ...string) func(*System) ([]Condition, error) {
		return func(s *System) ([]Condition, error) { return l.coldAndWarm(s, key, algorithms, 2*perRound*rounds) }
	}
	for _, step := range []func() error{
		func() error { return add("a", l.Plain, constant("a", l.Passwords(1))) },
		func() error {
			return add("b", func() (*System, error) { return l.Smallest(Options{}) }, constant("b", one))
		},
		func() error {
			return add("b-xkey", func() (*System, error) { return l.Smallest(Options{XKey: true}) }, constant("b-xkey", one))
		},
		func() error {
			return add("c", func() (*System, error) { return l.Three(Options{}) }, verified("c", Algorithms...))
		},
		func() error {
			return add("c-xkey", func() (*System, error) { return l.Three(Options{XKey: true}) }, verified("c-xkey", "RS256"))
		},
		func() error { return add("d", l.Standalone, verified("d", "RS256")) },
	} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return list, stopAll, nil
}

// coldAndWarm returns two conditions for each algorithm: every token new, and tokens that were seen before.
func (l *Lab) coldAndWarm(s *System, key string, algorithms []string, fresh int) (list []Condition, err error) {
	for _, algorithm := range algorithms {
		cold, err := l.Handshakes(algorithm, fresh)
		if err != nil {
			return nil, err
		}
		warm, err := l.Handshakes(algorithm, warmTokens)
		if err != nil {
			return nil, err
		}
		if err := s.Ready(warm[0]); err != nil {
			return nil, err
		}
		if result := ClosedLoop(s.Addr, warm, 16); result.Connects != len(warm) {
			return nil, fmt.Errorf("%s: %d of %d were admitted before the measurement: %v", s.Name, result.Connects, len(warm), result.Failed)
		}
		var used atomic.Int64
		list = append(list,
			Condition{key + "-" + algorithm + "-cold", s.Name + ", " + algorithm + " cold", s, func(n int) [][]byte {
				from := int(used.Add(int64(n))) - n
				return cold[from : from+n]
			}},
			Condition{key + "-" + algorithm + "-warm", s.Name + ", " + algorithm + " warm", s, func(n int) [][]byte { return Repeat(warm, n) }},
		)
	}
	return list, nil
}

// Programs returns which programs in the lab's directory the condition named key needs.
func Programs(key string) []string {
	switch key {
	case "c", "c-xkey":
		return []string{"callout", "tokencheck", "policy"}
	case "d":
		return []string{"standalone"}
	}
	return nil
}
