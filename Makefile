# The front door. Everything else is reached from here; `make help` lists it.

# Flows in the benchmark; `make bench ROWS=200000` for a quick look.
ROWS ?= 20000000
# Length and seed of `make chaos`; the same seed draws the same faults.
MINUTES ?= 20
SEED ?= $(shell date +%s)
# Rate, flows a second, and length of `make soak`.
RATE ?= 30000
SOAK_MINUTES ?= 60
# Where `make run` keeps what it records.
DATA_DIR ?= hindcast-data

.DEFAULT_GOAL := help
.PHONY: help setup run test check bpf bench bench-sensors chaos soak clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what a fresh machine lacks, for building and for testing
	@scripts/setup test

run: ## build and start a server on 127.0.0.1, recording into ./hindcast-data
	@scripts/setup build
	cargo build --release --locked --workspace --bins
	"$${CARGO_TARGET_DIR:-target}/release/hindcast" up --data-dir "$(DATA_DIR)"

test: ## set up, then everything that must hold
	@scripts/test

check: ## formatting, clippy and rustdoc
	@scripts/check

bpf: ## compile the kernel's side of the sensors again; needs clang-14, llvm-14 and libbpf-dev
	@scripts/bpf

bench: ## measure beside DuckDB on the same ROWS=20000000 generated flows
	@scripts/setup test
	ROWS=$(ROWS) scripts/bench

bench-sensors: ## measure what the sensors cost, as root: CPU with and without them
	cargo build --release --locked -p hindcast-bpf-sensors --example overhead
	"$${CARGO_TARGET_DIR:-target}/release/examples/overhead"

chaos: ## kill, cut off, starve and fill up a recorder and ClickHouse under load for MINUTES=20, from SEED
	@scripts/setup test
	cargo build --release --locked --workspace --bins
	HINDCAST_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}")/release/hindcast" \
		"$${CARGO_TARGET_DIR:-target}/release/chaos" --seed "$(SEED)" --minutes "$(MINUTES)"

soak: ## flows at RATE=30000 a second for MINUTES=60 into a recorder and ClickHouse, with questions
	@scripts/setup test
	cargo build --release --locked --workspace --bins
	HINDCAST_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}")/release/hindcast" \
		"$${CARGO_TARGET_DIR:-target}/release/soak" --minutes "$(SOAK_MINUTES)" --rate "$(RATE)"

clean: ## remove what building and testing made (never ./hindcast-data)
	rm -rf "$${CARGO_TARGET_DIR:-target}" .venv
