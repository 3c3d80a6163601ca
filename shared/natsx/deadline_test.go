package natsx

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlineContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &deadlineContext{deadline: time.Now().Add(time.Second)}
		if c.Err() != nil {
			t.Fatal("ended before its time")
		}
		began := time.Now()
		<-c.Done()
		if took := time.Since(began); took != time.Second || !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("ended after %v with %v", took, c.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := &deadlineContext{deadline: time.Now().Add(time.Second)}
		began, done := time.Now(), c.Done()
		c.shorten(time.Now().Add(time.Hour)) // later: no effect
		c.shorten(time.Now().Add(time.Millisecond))
		<-done
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("a shortened deadline came after %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := &deadlineContext{deadline: time.Now().Add(time.Second)}
		child, cancel := context.WithTimeout(c, time.Hour)
		defer cancel()
		c.end(context.Canceled)
		<-child.Done()
		if !errors.Is(c.Err(), context.Canceled) || !errors.Is(child.Err(), context.Canceled) {
			t.Errorf("%v, child %v; want canceled", c.Err(), child.Err())
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("%v after the deadline, want what it ended with", c.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := &deadlineContext{deadline: time.Now().Add(time.Second)}
		time.Sleep(time.Second)
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("%v without anybody at Done, want deadline exceeded", c.Err())
		}
		<-c.Done()
	})
}
