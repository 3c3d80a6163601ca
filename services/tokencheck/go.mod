module harmony.internal/authcallout/services/tokencheck

go 1.26.0

replace harmony.internal/authcallout/shared => ../../shared
