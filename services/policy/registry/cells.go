package registry

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// operation is the header of a message that deletes a key (ADR-8).
const operation = "KV-Operation"

// stream is a bucket's keys, read and written as ADR-8 lays them out: jetstream.KeyValue tells no revision of a deleted
// key, and writes at none.
type stream struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	prefix string // of the subjects
}

func openStream(ctx context.Context, js jetstream.JetStream, bucket string) (*stream, error) {
	s, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return nil, err
	}
	return &stream{js: js, stream: s, prefix: "$KV." + bucket + "."}, nil
}

func (s *stream) get(ctx context.Context, key string) (cell, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, s.prefix+key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return cell{}, nil
	}
	if err != nil {
		return cell{}, err
	}
	deleted := m.Header.Get(operation) != "" || m.Header.Get(jetstream.MarkerReasonHeader) != ""
	return cell{value: m.Data, revision: m.Sequence, written: m.Time, live: !deleted}, nil
}

func (s *stream) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return s.publish(ctx, &nats.Msg{Subject: s.prefix + key, Data: value}, revision)
}

func (s *stream) del(ctx context.Context, key string, revision uint64) error {
	_, err := s.publish(ctx, &nats.Msg{Subject: s.prefix + key, Header: nats.Header{operation: {"DEL"}}}, revision)
	return err
}

func (s *stream) publish(ctx context.Context, m *nats.Msg, revision uint64) (uint64, error) {
	ack, err := s.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
			return 0, errMoved
		}
		return 0, err
	}
	return ack.Sequence, nil
}
