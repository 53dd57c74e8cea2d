# Two commands do everything: 'make run' and 'make test'. 'make help' lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# In CI the race detector is on. Elsewhere: make test RACE=-race
RACE := $(if $(filter true,$(CI)),-race,)

.PHONY: help run build test soak lint fuzz bench microbench lines vuln

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 8

run: ## run the server in development mode
	go run ./cmd/countersign serve --dev

build: ## build a static binary into bin/
	CGO_ENABLED=0 go build -tags nomsgpack -trimpath -ldflags '-s -w' -o bin/countersign ./cmd/countersign

test: ## run the whole suite, on SQLite and MariaDB; installs what it needs if it can, or says what to install; TIMES=1 prints the slowest tests
	./test/prepare
	RACE='$(RACE)' TIMES='$(TIMES)' ./test/suite

soak: ## run the whole suite at full size, which takes hours
	./test/prepare
	COUNTERSIGN_SOAK=1 RACE='$(RACE)' TIMES='$(TIMES)' ./test/suite

lint: ## check formatting, vet, the linters of test/lint and the module files
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo 'run gofmt -w on these files'; exit 1; }
	go vet ./...
	go run ./test/lint ./...
	go mod tidy -diff
	go mod verify

FUZZTIME := 60s
fuzz: ## run each fuzz target for FUZZTIME (60s)
	./test/fuzz $(FUZZTIME)

bench: ## measure the server beside the limits of this machine, and write bench/results.md; BENCH='-only "SQLite: refresh$$"' measures one job
	go run ./bench $(BENCH)

PACKAGES := ./...
COUNT := 6
microbench: ## run the Go benchmarks of PACKAGES (all) COUNT (6) times, for benchstat
	@go test -run '^$$' -bench . -benchmem -count $(COUNT) $(PACKAGES)

lines: ## list which lines of docs/requirements.md have a test
	@awk '/^\/\/ Requirement: / { of = $$0; sub(/^\/\/ Requirement: /, "", of); sub(/\.$$/, "", of) } \
		/^func Test/ { if (of) { sub(/^func /, ""); sub(/\(.*/, ""); print of ": " $$0 }; of = "" }' $$(git ls-files '*_test.go') | sort -V

vuln: ## look for known vulnerabilities (asks the Go vulnerability database)
	go run golang.org/x/vuln/cmd/govulncheck@latest ./...
