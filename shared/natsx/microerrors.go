package natsx

import (
	"reflect"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// counted is an error of one request on its way into micro's statistics. micro reads a request's error when the handler
// returns, and ours returns before the work is done, so errors go the way of a subscription's asynchronous errors
// (micro/conn_hooks.go), which it counts for the endpoint under its own lock.
type counted struct{ text string }

func (c *counted) Error() string { return c.text }

// messageOf returns the message that micro wraps, nil when micro changed its insides. Only the subscription is wanted of
// it, which micro does not hand out and by which it finds an endpoint. The type is checked before the pointer is used.
func messageOf(r micro.Request) *nats.Msg {
	v := reflect.ValueOf(r)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	field := v.Elem().FieldByName("msg")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*nats.Msg]() {
		return nil
	}
	return (*nats.Msg)(field.UnsafePointer())
}
