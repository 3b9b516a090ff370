# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := bin
CACHE := .cache
IMAGES := $(CACHE)/images
REPOSITORY := localhost/taskgroup-operator
TAG := dev
VENV := $(CACHE)/venv
# What a workflow of the real Covalent takes: it and the program that the plugin starts.
COVALENT := $(VENV)-covalent/ready $(BIN)/taskgroup
LOCKS := python/requirements
CHART := charts/taskgroup-operator
# The version of all programs: a tag, or a commit.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version=$(VERSION)
GO_BUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w $(LDFLAGS)'

GO_SOURCES := go.mod go.sum $(wildcard config/rbac/executor*.yaml) $(shell find api config contract store controllers executor gateway internal cmd runner python -name '*.go' -not -name '*_test.go' 2>/dev/null) $(shell find python -name '*.py' -path '*harness*' 2>/dev/null)
HACK_SOURCES := hack/go.mod hack/go.sum $(shell find hack/cluster hack/image -type f -not -name '*_test.go' 2>/dev/null)

##@ The two commands

.PHONY: demo
demo: ## Run TaskGroups and a Covalent workflow on a real cluster and check what they leave. CLUSTER=current uses kubectl's.
	@$(MAKE) images $(if $(CLUSTER),$(if $(COVALENT_ASSETS),$(COVALENT)),$(BIN)/cluster $(COVALENT))
	@hack/demo/demo.sh up

.PHONY: demo-down
demo-down: $(BIN)/cluster ## End everything that the demo started, and only that.
	@hack/demo/demo.sh down

.PHONY: test
test: ## Run the tests: unit, integration, end-to-end. Reports what was skipped and why.
	@test/run.sh unit integration e2e

##@ Tests by tier

.PHONY: unit integration e2e
unit: ## Pure tests, Go and Python.
	@test/run.sh unit
integration: ## A real API server and controller-manager, a real S3 server; no node, no root.
	@test/run.sh integration
e2e: ## A real node: kubelet, containerd, pods. Needs root.
	@test/run.sh e2e

.PHONY: race
race: ## Go's race detector for all packages; `make unit` runs it for the operator, the executor, the gateway and the runner.
	@test/run.sh race

.PHONY: plugin-test plugin-wheels-test plugin-e2e
plugin-test: plugin-wheel $(BIN)/taskgroup $(BIN)/cluster $(VENV)-covalent/ready ## Covalent's plugin against the real Covalent and the real bridge.
	@TASKGROUP_TEST_S3_SERVER=$$($(BIN)/cluster build --s3-server) && export TASKGROUP_TEST_S3_SERVER && \
		cd python && ../$(VENV)-covalent/bin/python -m pytest -q -rs --override-ini norecursedirs= tests/plugin
plugin-wheels-test: plugin-wheels $(VENV)-covalent/ready ## The plugin's wheels for every platform; not part of `make test`.
	@test -x $(CACHE)/qemu/qemu-aarch64-static || hack/qemu.sh $(CACHE)/qemu || echo "without an emulator the wheel for arm64 is not run"
	@cd python && TASKGROUP_TEST_WHEELS=all ../$(VENV)-covalent/bin/python -m pytest -q -rs --override-ini norecursedirs= tests/plugin/test_wheel.py
plugin-e2e: images kueue-image $(BIN)/taskgroup $(BIN)/cluster $(VENV)-covalent/ready ## A real Covalent server, a real cluster, and the plugin between them. Needs root.
	@python/tests/e2e/run.sh

.PHONY: bench
bench: $(BIN)/manager $(BIN)/cluster ## Measure the operator against raw Jobs; see docs/benchmarks.md.
	@$(BIN)/cluster build --control-plane-only
	@$(BIN)/cluster build --kwok >/dev/null
	@go run ./test/bench $(BENCH_FLAGS)

.PHONY: bench-runner
bench-runner: $(VENV)/ready ## Measure the runner against plain programs: time per pod and task, memory, transfers.
	@TASKGROUP_TEST_PYTHON=$(CURDIR)/$(VENV)/bin/python3 go test ./cmd/runner -run '^$$' -bench 'Overhead|Memory' -benchtime 20x
	@go test ./cmd/runner -run '^$$' -bench 'Staging|Upload' -benchtime 3x -timeout 30m

.PHONY: bench-covalent
bench-covalent: images $(BIN)/cluster $(COVALENT) ## Measure electrons by executor and store: local, dask, volume, gateway, S3. Needs root.
	@python/bench/run.sh $(BENCH_FLAGS)

##@ Building

.PHONY: build
build: $(BIN)/manager $(BIN)/runner $(BIN)/gateway $(BIN)/taskgroup ## The operator, the runner, the gateway and the command line.

$(BIN)/manager: $(GO_SOURCES)
	@echo "==> building $@"
	@$(GO_BUILD) -o $@ ./cmd/manager
$(BIN)/runner: $(GO_SOURCES)
	@echo "==> building $@"
	@$(GO_BUILD) -o $@ ./cmd/runner
$(BIN)/gateway: $(GO_SOURCES)
	@echo "==> building $@"
	@$(GO_BUILD) -o $@ ./cmd/gateway
# One program under three names: on its own, as kubectl's plugin, and as what
# kubectl asks for completions.
$(BIN)/taskgroup: $(GO_SOURCES)
	@echo "==> building $@"
	@$(GO_BUILD) -o $@ ./cmd/taskgroup
	@ln -sf taskgroup $(BIN)/kubectl-taskgroup
	@ln -sf taskgroup $(BIN)/kubectl_complete-taskgroup
$(BIN)/cluster: $(HACK_SOURCES)
	@echo "==> building $@"
	@cd hack && $(GO_BUILD) -o ../$@ ./cluster
$(BIN)/image: $(HACK_SOURCES)
	@echo "==> building $@"
	@cd hack && $(GO_BUILD) -o ../$@ ./image

PREFIX ?= /usr/local
.PHONY: install-cli
install-cli: $(BIN)/taskgroup ## taskgroup and kubectl taskgroup into PREFIX/bin, /usr/local by default.
	@install -d $(DESTDIR)$(PREFIX)/bin
	@install -m 0755 $< $(DESTDIR)$(PREFIX)/bin/taskgroup
	@ln -sf taskgroup $(DESTDIR)$(PREFIX)/bin/kubectl-taskgroup
	@ln -sf taskgroup $(DESTDIR)$(PREFIX)/bin/kubectl_complete-taskgroup

.PHONY: plugin-wheel plugin-wheels
plugin-wheel: $(VENV)/ready ## Covalent's plugin with the program that it starts, for this platform.
	@VERSION=$(VERSION) $(VENV)/bin/python hack/wheels.py $(BIN)/wheels $$(go env GOOS)/$$(go env GOARCH)
plugin-wheels: $(VENV)/ready ## The same for Linux and macOS, amd64 and arm64; minutes the first time.
	@VERSION=$(VERSION) $(VENV)/bin/python hack/wheels.py $(BIN)/wheels

.PHONY: images
images: $(IMAGES)/manager.tar $(IMAGES)/runner.tar $(IMAGES)/gateway.tar $(IMAGES)/python.tar ## OCI images, without a Docker engine.

$(IMAGES)/manager.tar: $(BIN)/manager $(BIN)/image
	@$(BIN)/image binary --ref $(REPOSITORY)/manager:$(TAG) --file $< --output $@
$(IMAGES)/runner.tar: $(BIN)/runner $(BIN)/image
	@$(BIN)/image binary --ref $(REPOSITORY)/runner:$(TAG) --file $< --output $@
$(IMAGES)/gateway.tar: $(BIN)/gateway $(BIN)/image
	@$(BIN)/image binary --ref $(REPOSITORY)/gateway:$(TAG) --file $< --output $@
$(IMAGES)/python.tar: $(BIN)/image
	@$(BIN)/image python --ref $(REPOSITORY)/python:$(TAG) --output $@

$(BIN)/helm: hack/tools/install/go.mod hack/tools/install/go.sum
	@echo "==> building $@ (a minute the first time)"
	@cd hack/tools/install && CGO_ENABLED=0 go build -o ../../../$@ helm.sh/helm/v4/cmd/helm
$(BIN)/registry: hack/tools/install/go.mod hack/tools/install/go.sum
	@cd hack/tools/install && CGO_ENABLED=0 go build -o ../../../$@ github.com/distribution/distribution/v3/cmd/registry

.PHONY: install-test
install-test: images $(BIN)/cluster $(BIN)/image $(BIN)/dist $(BIN)/helm $(BIN)/registry $(VENV)/ready ## Install, upgrade and uninstall a release from a registry and a package index. Needs root.
	@test/install/run.sh

# Kueue, for the tests of queues; minutes the first time.
.PHONY: kueue-image
kueue-image: $(BIN)/cluster $(BIN)/image ## An image of Kueue, which hack/kueue/install.sh installs on a test cluster.
	@$(BIN)/image binary --ref localhost/kueue/kueue:$(TAG) --file $$($(BIN)/cluster build --kueue) --output $(IMAGES)/kueue.tar

.PHONY: cluster-binaries
cluster-binaries: $(BIN)/cluster ## Kubernetes, etcd and containerd, from source; minutes the first time.
	@$(BIN)/cluster build

##@ Releases

DIST := dist
# The prefix of the images in manifests and chart, and a private key that signs the release.
DIST_REGISTRY ?= $(REPOSITORY)
DIST_KEY ?=
$(BIN)/dist: hack/go.mod hack/go.sum $(shell find hack/dist hack/image -name '*.go' -not -name '*_test.go' 2>/dev/null)
	@echo "==> building $@"
	@cd hack && $(GO_BUILD) -o ../$@ ./dist

.PHONY: dist dist-verify
dist: $(BIN)/dist $(VENV)/ready ## All artifacts of a release, into dist: make dist VERSION=0.2.0; DIST_KEY signs. See docs/releasing.md.
	@$(BIN)/dist build --version $(VERSION) --output $(DIST) --registry $(DIST_REGISTRY) --python $(VENV)/bin/python $(DIST_FLAGS)
	@$(if $(DIST_KEY),$(BIN)/dist sign --key $(DIST_KEY) $(DIST))
	@$(BIN)/dist verify $(DIST)
dist-verify: $(BIN)/dist $(VENV)/ready ## Build a release of the commit twice, in two folders, compare them, sign and verify.
	@hack/dist/verify.sh $(if $(filter command,$(origin VERSION)),$(VERSION),0.0.0-rc.0) $(VENV)/bin/python

##@ Code generation and verification

$(BIN)/controller-gen: hack/tools/go.mod hack/tools/go.sum
	@cd hack/tools && go build -o ../../$@ sigs.k8s.io/controller-tools/cmd/controller-gen
$(BIN)/crd-ref-docs: hack/tools/go.mod hack/tools/go.sum
	@cd hack/tools && go build -o ../../$@ github.com/elastic/crd-ref-docs
$(BIN)/gotestsum: hack/tools/go.mod hack/tools/go.sum
	@cd hack/tools && go build -o ../../$@ gotest.tools/gotestsum
# With the linters for Kubernetes APIs.
$(BIN)/golangci-lint: hack/tools/lint/go.mod hack/tools/lint/go.sum hack/tools/lint/main.go
	@echo "==> building $@ (a minute the first time)"
	@cd hack/tools/lint && go build -o ../../../$@ .
$(BIN)/crdify: hack/tools/api/go.mod hack/tools/api/go.sum
	@cd hack/tools/api && go build -o ../../../$@ sigs.k8s.io/crdify
$(BIN)/actionlint: hack/tools/ci/go.mod hack/tools/ci/go.sum
	@cd hack/tools/ci && go build -o ../../../$@ github.com/rhysd/actionlint/cmd/actionlint
$(BIN)/kind: hack/tools/ci/go.mod hack/tools/ci/go.sum
	@cd hack/tools/ci && CGO_ENABLED=0 go build -o ../../../$@ sigs.k8s.io/kind

# Without the service discoveries, which are most of the program.
$(BIN)/promtool: hack/tools/monitoring/go.mod hack/tools/monitoring/go.sum
	@echo "==> building $@ (minutes the first time)"
	@cd hack/tools/monitoring && CGO_ENABLED=0 go build -tags remove_all_sd -o ../../../$@ github.com/prometheus/prometheus/cmd/promtool

# Vale reads Go's comments with a parser in C.
$(BIN)/vale: hack/tools/prose/go.mod hack/tools/prose/go.sum
	@echo "==> building $@ (a minute the first time)"
	@cd hack/tools/prose && CGO_ENABLED=1 go build -o ../../../$@ github.com/errata-ai/vale/v3/cmd/vale

.PHONY: generate
generate: $(BIN)/controller-gen $(BIN)/crd-ref-docs ## Deepcopy functions, CRD, RBAC, the chart's copies, the plugin's schema, the references and the PrometheusRule.
	@$(BIN)/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	@$(BIN)/controller-gen crd:generateEmbeddedObjectMeta=false paths=./api/... output:crd:dir=config/crd/bases
	@sed -i.bak -f hack/amounts.sed config/crd/bases/*.yaml && rm config/crd/bases/*.bak
	@go run ./internal/optionschema config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml python/covalent_taskgroup_plugin/schema.json
	@go run ./internal/clireference docs/cli-reference.md
	@$(BIN)/controller-gen rbac:roleName=taskgroup-operator paths=./controllers/... output:rbac:dir=config/rbac
	@{ cat hack/prometheus-rule.yaml && sed '/^#/d; s/^./  &/' config/monitoring/alerts.yaml; } >config/monitoring/prometheus_rule.yaml
	@cp config/monitoring/alerts.yaml $(CHART)/files/alerts.yaml
	@cp config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml $(CHART)/files/crd.yaml
	@cp config/rbac/role.yaml $(CHART)/files/role.yaml
	@$(BIN)/crd-ref-docs --source-path=api/v1alpha1 --config=hack/tools/api-templates/config.yaml --templates-dir=hack/tools/api-templates \
		--renderer=markdown --output-path=docs/api.md --log-level=ERROR

.PHONY: manifests
manifests: generate

.PHONY: lint
lint: $(BIN)/golangci-lint $(VENV)/ready $(VENV)-covalent/ready ## golangci-lint, ruff and mypy.
	@$(BIN)/golangci-lint run ./...
	@cd hack && ../$(BIN)/golangci-lint run --config ../.golangci.yml ./...
	@cd hack/tools/monitoring && ../../../$(BIN)/golangci-lint run --config ../../../.golangci.yml ./...
	@$(VENV)/bin/ruff check --config python/pyproject.toml python hack test
	@$(VENV)/bin/ruff format --check --config python/pyproject.toml python hack test
	@cd python && ../$(VENV)/bin/mypy --python-executable ../$(VENV)-covalent/bin/python --cache-dir ../$(CACHE)/mypy

.PHONY: prose
prose: ## The vocabulary of comments and documentation, by the rules of .vale; skipped without a C compiler.
	@if command -v "$${CC:-gcc}" >/dev/null; then $(MAKE) vocabulary; else echo "prose: skipped: Vale needs a C compiler"; fi
.PHONY: vocabulary
vocabulary: $(BIN)/vale
	@git ls-files -z '*.go' '*.md' ':!*/testdata/*' ':!*/zz_generated*' | xargs -0 $(BIN)/vale --no-wrap
	@# The texts of flags are in code blocks, which Vale skips.
	@sed '/^```/d; s/^ *//' docs/cli-reference.md | $(BIN)/vale --no-wrap --ext=.txt

.PHONY: alerts
alerts: $(BIN)/promtool ## The alert rules and the dashboard of config/monitoring, with the rule tests.
	@$(BIN)/promtool check rules --lint=all --lint-fatal config/monitoring/alerts.yaml
	@$(BIN)/promtool test rules config/monitoring/testdata/alerts.yaml
	@cd hack/tools/monitoring && go test -count=1 ./...

CRD := config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml
.PHONY: api-compat
api-compat: $(BIN)/crdify ## The CRD accepts what that of the last release accepts, which is in api/v1alpha1/testdata/released.
	@$(BIN)/crdify file://api/v1alpha1/testdata/released/$(notdir $(CRD)) file://$(CRD) >$(CACHE)/crdify.txt || \
		{ grep -v ✓ $(CACHE)/crdify.txt; echo "error: the CRD refuses what the last release accepted"; exit 1; }

.PHONY: workflows
workflows: $(BIN)/actionlint ## The workflows of .github.
	@$(BIN)/actionlint

.PHONY: verify
verify: generate lint prose alerts api-compat workflows ## Generated files and locks current, modules tidy, lint, prose and alerts clean, API compatible, tree clean.
	@hack/lock.sh --check
	@go mod tidy -diff && cd hack && go mod tidy -diff && cd tools/monitoring && go mod tidy -diff
	@test -z "$$(git status --porcelain)" || { git status --short; echo "error: the tree is not clean: commit what 'make generate' changed"; exit 1; }

# The Python of tests and linters; the product needs none on the machine.
$(VENV)/ready: $(LOCKS)/build.txt $(LOCKS)/test.txt hack/venv.sh
	@echo "==> making the tests' Python environment"
	@hack/venv.sh $(VENV) $(filter %.txt,$^)

# The plugin is installed from its sources, with the locked setuptools.
$(VENV)-covalent/ready: $(LOCKS)/build.txt $(LOCKS)/covalent.txt hack/venv.sh python/pyproject.toml python/setup.py
	@echo "==> making a Python environment with the real Covalent (a minute the first time)"
	@hack/venv.sh $(VENV)-covalent $(filter %.txt,$^)
	@$(VENV)-covalent/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e python || \
		{ rm -f $@; exit 1; }

.PHONY: lock
lock: ## Lock the Python packages of python/requirements and of the Python image; LOCK_FLAGS=--upgrade takes the newest.
	@hack/lock.sh $(LOCK_FLAGS)

# Both kinds of cloudpickle's pickles, for tests/test_unpickler.py.
CLOUDPICKLES := $(patsubst $(LOCKS)/cloudpickle-%.txt,$(CACHE)/cloudpickle/%/ready,$(wildcard $(LOCKS)/cloudpickle-*.txt))
$(CACHE)/cloudpickle/%/ready: $(LOCKS)/cloudpickle-%.txt | $(VENV)/ready
	@rm -rf $(@D)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --target $(@D) -r $<
	@touch $@

# The Pythons of other Debian releases, by suite.
$(CACHE)/pythons/%/python: hack/pythons.sh
	@hack/pythons.sh $* $(CACHE)/pythons/$*

.PHONY: venv venv-covalent
venv: $(VENV)/ready $(CLOUDPICKLES)
venv-covalent: $(VENV)-covalent/ready

.PHONY: clean
clean: ## Remove what was built, except the cached Kubernetes.
	@rm -rf $(BIN) $(IMAGES) $(VENV) $(VENV)-covalent $(VENV)-lock $(CACHE)/cloudpickle

.PHONY: help
help: ## This list.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
