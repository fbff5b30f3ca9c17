# The commands of this project. CI (.ci/run) calls the same ones.
SHELL := bash
# rustup puts cargo there; a shell that was open before does not know.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help run replicas check-replicas test test-js test-clients miniprogram test-faults bench check-speed lint fmt audit sqlx-prepare walkthrough schemathesis clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and try payquery: private Postgres, demo merchant, curl lines; Ctrl-C stops all
	@scripts/run.sh

replicas: ## run three replicas behind nginx over one private Postgres; Ctrl-C stops all
	@examples/replicas/run.sh

check-replicas: ## check that replicas behind nginx are as one, and that a rolling restart fails no request
	@examples/replicas/check.sh

test: ## run all tests of the service, against a real Postgres and a real RabbitMQ of their own, and the walkthrough
	@scripts/test.sh

test-js: ## check and test the client library: Node, Chromium, mini-program simulator, size, package
	@scripts/test-js.sh

miniprogram: ## build the client library into examples/miniprogram, ready for WeChat's developer tools
	@scripts/require.sh node npm
	@cd clients/js && npm ci --ignore-scripts --no-progress && npm run --silent build

test-clients: ## run real clients (JavaScript, Python, Java) and a browser against it
	@scripts/test-clients.sh

test-faults: ## break things under load (kill -9, stopped Postgres, dead lines, …) and see every promise kept
	@scripts/test-faults.sh

bench: ## measure payquery beside nginx, nchan, actix-web and pgbench, in turn (Linux, two processors, a quarter of an hour)
	@scripts/bench.sh

check-speed: ## count the instructions of a poll, a wake-up and a report (callgrind), beside the committed numbers
	@scripts/check-speed.sh

lint: ## check format, clippy, .sqlx, dependencies, shell scripts and docker-compose.yml
	@scripts/lint.sh

fmt: ## format the code
	@cargo fmt --all

audit: ## look the dependencies up in the advisory database (downloads it)
	@PATH="$$(scripts/tool.sh cargo-deny):$$PATH" cargo deny --locked check advisories

sqlx-prepare: ## write .sqlx anew, after a change to a query or a migration
	@scripts/sqlx-prepare.sh

walkthrough: ## order, polls, long-poll and log with the real program
	@scripts/walkthrough.sh

schemathesis: ## test the service against its own OpenAPI document
	@scripts/schemathesis.sh

clean: ## remove what was built, and the tests' Postgres and RabbitMQ; the data of `make run` stays
	@scripts/stop-test-postgres.sh
	@scripts/stop-test-rabbitmq.sh
	@rm -rf "$${TMPDIR:-/tmp}/payquery-tests-$$(id -u)" "$${TMPDIR:-/tmp}/payquery-tests-rabbitmq-$$(id -u)"
	@rm -rf clients/js/dist clients/js/miniprogram_dist clients/js/.tests
	@cargo clean
