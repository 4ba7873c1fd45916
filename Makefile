# `make run` and `make test` need the Rust toolchain, make and a C compiler; the scripts get the rest.

# The queries are checked against .sqlx, never against a DATABASE_URL that happens to be set.
export SQLX_OFFLINE := true
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run test failures lint bench bench-growth sqlx sqlx-check

help: ## shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: ## builds Annals and starts it with a private PostgreSQL and a demo tenant; Ctrl-C stops all of it
	@scripts/install-postgres
	$(CARGO) build --release --bin annals
	@exec ./target/release/annals serve --demo

test: ## runs every test against a private PostgreSQL and a private Redis made for the run
	@scripts/install-postgres
	@scripts/install-redis
	@scripts/test

failures: ## kills, freezes and cuts off servers and PostgreSQL at work: `make failures ROUNDS=50 SEED=7`
	@scripts/install-postgres
	FAILURES_ROUNDS=$${ROUNDS:-50} FAILURES_SEED=$${SEED:-$$(date +%s)} \
		$(CARGO) test -p api --all-features --test failures -- --nocapture

lint: ## formatting, clippy and documentation, with every warning an error
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --all-features

bench: ## measures Annals beside raw COPY and stock postgres-es
	@scripts/install-postgres
	$(CARGO) bench -p api --bench figures

bench-growth: ## measures appends at 10 M events and 10 k tenants beside 100 k and 10; takes minutes and 15 GB
	@scripts/install-postgres
	$(CARGO) bench -p api --bench growth

sqlx: ## regenerates .sqlx, from which queries are checked without a database
	@scripts/install-postgres
	@scripts/install-redis
	@scripts/prepare-sqlx

sqlx-check: ## fails when .sqlx does not match the queries and the migrations
	@scripts/install-postgres
	@scripts/install-redis
	@scripts/prepare-sqlx --check
