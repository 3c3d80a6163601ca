module harmony.internal/authcallout/services/policy

go 1.26.0

replace harmony.internal/authcallout/shared => ../../shared
