package standalone

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// serverLog hands the server's log to zap, without tokens: a client may be called like its token, which is in every entry about it,
// what is no command of the protocol is quoted, and a trace has the payload of every message, those between the services
// too. What the server calls fatal is kept as the reason for not starting; its own logger would end the process there.
type serverLog struct {
	log *zap.Logger

	mu   sync.Mutex // guards last
	last error
}

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *serverLog) write(level zapcore.Level, format string, v []any) {
	if entry := l.log.Check(level, ""); entry != nil {
		entry.Message = withoutTokens(fmt.Sprintf(format, v...))
		entry.Write()
	}
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) { l.write(zapcore.InfoLevel, format, v) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.write(zapcore.WarnLevel, format, v) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.write(zapcore.ErrorLevel, format, v) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.write(zapcore.DebugLevel, format, v) }

// Tracef implements server.Logger.
func (l *serverLog) Tracef(format string, v ...any) { l.write(zapcore.DebugLevel, format, v) }

// Fatalf implements server.Logger.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.write(zapcore.ErrorLevel, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = errors.New(withoutTokens(fmt.Sprintf(format, v...)))
}

// redacted stands for what is left out.
const redacted = "[redacted]"

// payload is before the payload of a message in a trace (nats-server, server/client.go, traceMsgInternal).
const payload = "MSG_PAYLOAD: "

// jwtText is a JWT, or the beginning of one that was cut off.
var jwtText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*`)

func withoutTokens(message string) string {
	if before, _, found := strings.Cut(message, payload); found {
		message = before + payload + redacted
	}
	if !strings.Contains(message, "eyJ") {
		return message
	}
	return jwtText.ReplaceAllLiteralString(message, redacted)
}
