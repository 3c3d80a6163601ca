# Every target runs from a fresh clone with Go and make; what else a target needs, it says itself.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  ?= $(shell cat VERSION)
LDFLAGS  := -X harmony.internal/authcallout/shared/run.Version=$(VERSION)
MODULES   = $(shell go list -m -f '{{.Dir}}')
# Not in go.work: there the foreign provider's dependencies would raise the versions of other modules.
OUTSIDE  := $(CURDIR)/e2e/provider
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Kept between runs under a name that carries its version.
LINTER   := $(CURDIR)/bin/tools/golangci-lint-$(lastword $(subst @, ,$(GOLANGCI)))
NATSCLI  := github.com/nats-io/natscli/nats@v0.5.1
NATSCLI_DIR := $(CURDIR)/bin/tools/natscli-$(lastword $(subst @, ,$(NATSCLI)))
# The race detector needs cgo, and cgo a C compiler; go env knows whether both are there.
RACE     := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race,)

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build all programs into bin/, static and stamped with the version.
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ \
	  ./services/callout/cmd/callout ./services/tokencheck/cmd/tokencheck ./services/policy/cmd/policy \
	  ./deploy/standalone/cmd/standalone ./deploy/devidp/cmd/devidp

.PHONY: demo
demo: build ## Watch devices log in: provider, nats-server and services on this machine. KEEP=1 stays up.
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./e2e/cmd/demo
	@exec bin/demo -bin bin $(if $(KEEP),-keep)

.PHONY: test
test: test-workspace test-alone check-deps ## Run every test that needs only Go.

.PHONY: test-workspace
test-workspace: race-notice
	go vet work
	go test $(RACE) work
	go test -run '^$$' -bench . -benchtime 1x work

.PHONY: test-alone
test-alone: race-notice
	@for dir in $(MODULES) $(OUTSIDE); do \
	  echo "== $${dir#$(CURDIR)/} alone"; \
	  (cd "$$dir" && export GOWORK=off && go mod tidy -diff && go build ./... && go vet ./... && go test $(RACE) ./...); \
	done

.PHONY: race-notice
race-notice:
	@$(if $(RACE),echo 'race detector: on',echo 'race detector: off: it needs a C compiler, and none was found')

.PHONY: check-deps
check-deps: ## Prove that no service links nats-server or a test package.
	@for svc in callout tokencheck policy; do \
	  if go list -deps ./services/$$svc/cmd/$$svc | grep -E 'nats-io/nats-server|/shared/(natstest|oidctest|heaptest)$$|/deploy/'; then \
	    echo "services/$$svc links the packages above; a service must not"; exit 1; \
	  fi; echo "services/$$svc: links no server and no test package"; \
	done

DEPLOYMENT = deploy/podman/with-podman go run ./deploy/podman/cmd/deployment

.PHONY: up
up: ## Bring up the containers. DEV=1: with a development provider. CLUSTER=1: three servers.
	$(DEPLOYMENT) up $(if $(DEV),-dev) $(if $(CLUSTER),-cluster)

.PHONY: down
down: ## Stop and remove the containers; data and keys stay. PURGE=1 removes them too.
	$(DEPLOYMENT) down $(if $(PURGE),-purge)

.PHONY: logs
logs: ## Follow what the containers say. SERVICE=callout-1: of one alone.
	$(DEPLOYMENT) logs -f $(if $(SERVICE),-service $(SERVICE))

.PHONY: upgrade
upgrade: ## Bring the running containers to this version and configuration, one at a time.
	$(DEPLOYMENT) upgrade

.PHONY: rotate-keys
rotate-keys: ## Replace the keys of the services, the issuer and the xkey; every device reconnects once.
	$(DEPLOYMENT) rotate-keys

.PHONY: check
check: ## Would the provider in deployment.yaml work, and the token in TOKEN_FILE?
	go run ./deploy/podman/cmd/deployment check $(if $(TOKEN_FILE),-token-file $(TOKEN_FILE))

.PHONY: explain
explain: ## How the running services would decide about the token in TOKEN_FILE, step by step.
	@$(DEPLOYMENT) explain -token-file "$(TOKEN_FILE)"

.PHONY: bypass-check
bypass-check: ## Prove on the running server that nobody gets in without a valid token, and that an administrator does.
	$(DEPLOYMENT) bypass-check

.PHONY: decisions
decisions: ## The last decisions of the running containers. OUTCOME=, REASON=, CLIENT= (device, name, address), SINCE=10m.
	@$(DEPLOYMENT) decisions $(if $(OUTCOME),-outcome $(OUTCOME)) $(if $(REASON),-reason $(REASON)) $(if $(CLIENT),-client $(CLIENT)) $(if $(SINCE),-since $(SINCE))

.PHONY: nats
nats: natscli ## Run the nats command line tool on the running containers: DO="micro stats callout". WHO=admin: the system account.
	@PATH="$(NATSCLI_DIR):$$PATH" $(DEPLOYMENT) nats $(if $(WHO),-as $(WHO)) $(DO)

.PHONY: natscli
natscli:
	@test -x $(NATSCLI_DIR)/nats || GOWORK=off GOBIN=$(NATSCLI_DIR) go install $(NATSCLI)

.PHONY: test-podman
test-podman: natscli ## Run the tests that need podman.
	PATH="$(NATSCLI_DIR):$$PATH" deploy/podman/with-podman go test -tags podman -count=1 -timeout 15m -v ./deploy/podman/podmantest

.PHONY: test-prometheus
test-prometheus: ## Run the tests of alert rules and dashboard, which need Debian's prometheus.
	go test -tags prometheus -count=1 ./e2e/observability

.PHONY: lint
lint: ## Run the linters over every module.
	@test -x $(LINTER) || { GOWORK=off GOBIN=$(dir $(LINTER)) go install $(GOLANGCI) && mv $(dir $(LINTER))golangci-lint $(LINTER); }
	@for dir in $(MODULES); do (cd "$$dir" && $(LINTER) run ./...); done
	@for dir in $(OUTSIDE); do (cd "$$dir" && GOWORK=off $(LINTER) run ./...); done

.PHONY: docs
docs: ## Write the reference pages that are generated from the code.
	go run ./e2e/cmd/docs

.PHONY: bench
bench: build ## Measure admissions per second and their cost; table, JSON and plot. BENCH="-only b,c" is passed on.
	go run ./bench/cmd/bench -bin bin -out docs/bench.json -plot docs/bench.svg $(BENCH)
	go test -run '^$$' -bench . work

.PHONY: storm
storm: build ## Let fleets loose: all at once, restarts, overload; table, JSON and plot. BENCH="-clients 2000" is passed on.
	go run ./bench/cmd/bench storm -bin bin -out docs/storm.json -plot docs/storm.svg $(BENCH)

.PHONY: capacity
capacity: ## How many servers and replicas? DEVICES=1000000 WINDOW=300 (seconds) CORES=4, from docs/bench.json.
	@go run ./e2e/cmd/capacity -devices $(or $(DEVICES),1000000) -window $(or $(WINDOW),300) -cores $(or $(CORES),4)

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (default 10s) each.
	@for dir in $(MODULES); do (cd "$$dir"; \
	  for pkg in $$(go list ./...); do \
	    for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	      echo "== $$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $${FUZZTIME:-10s} $$pkg; \
	    done; \
	  done); \
	done

.PHONY: clean
clean: ## Remove what the targets built.
	rm -rf bin
