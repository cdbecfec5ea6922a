# The two commands a newcomer needs: "make demo" and "make test". "make help" lists the rest.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := go tool -modfile=scripts/tools.mod

.PHONY: help build demo test check faults bench generate image cluster clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build bin/leasehold, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/leasehold ./cmd/leasehold

demo: build ## start three nodes and play: issue, renew, kill the leader, expire, revoke a tree
	scripts/demo.sh

test: ## everything that CI runs: format, vet, static checks, race tests, conformance, failover
	scripts/test.sh

check: ## the fast part of "make test"
	scripts/test.sh fast

faults: build ## what "make test" leaves out: simulated clusters, and each fault of disks, networks and clocks, as root
	go test -count=1 -p 1 -timeout=60m ./test/sim ./test/failover/...

bench: build ## measure; prints what docs/benchmarks.md records
	scripts/bench.sh

generate: ## rebuild generated code
	GOBIN=$(CURDIR)/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	cd fsm/command && PATH=$(CURDIR)/bin:$$PATH go generate

image: ## build the container image and the secrets that docker-compose.yml mounts
	scripts/image.sh

cluster: build ## three nodes on this machine
	scripts/cluster.sh up

clean: ## delete what was built
	rm -rf bin dist
