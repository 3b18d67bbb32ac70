# TaskDash: every habit as one word. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
RUN := .venv/bin

.PHONY: help install demo cluster test check fix faults release-gate browser bench bench-peers bench-compare sbom screenshots tools settings-doc requirements

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/.installed ## a virtual environment in .venv with TaskDash and what it needs, pinned by hash

.venv/.installed: requirements.txt pyproject.toml
	python3 -m venv .venv || { echo "python3 -m venv failed: install Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	-$(PY) -m compileall -q src
	touch $@

.venv/.dev: .venv/.installed requirements-dev.txt
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

demo: install ## a running TaskDash with five sample task services; prints where to look and a sign-in
	$(RUN)/taskdash demo

cluster: .venv/.dev tools ## two TaskDash on PostgreSQL with nsqlookupd and two nsqd, all on this machine; prints where to look
	$(PY) -m tools.cluster

tools: ## what only the tests need: the real nsqd and its family, clients in other languages, a browser
	tools/prepare

test: .venv/.dev tools ## everything a change must pass
	$(RUN)/pytest -q --tb=native -n auto --maxprocesses=4 --dist=worksteal tests || \
	{ [ $$? = 1 ] && echo "once more, alone, what failed beside others: a real fault fails again" && \
	$(RUN)/pytest -q --last-failed --last-failed-no-failures none tests; }

check: .venv/.dev ## format, lint, types (Python and JavaScript), imports, sizes
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(PY) tools/sizes.py
	$(PY) tools/rows.py
	tools/web/install
	.tools/web/node_modules/.bin/tsc -p tools/web

fix: .venv/.dev ## format and mend what can be mended by machine
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

faults: .venv/.dev tools ## the long fault runs
	LONG_FAULTS=1 $(RUN)/pytest -q tests/faults

release-gate: .venv/.dev tools ## all release gates in their whole size (hours); writes their table into docs/RELIABILITY.md
	$(PY) tools/rows.py --all
	LONG_FAULTS=1 $(RUN)/pytest -q -k 'not R13' tests/faults
	$(PY) -m tools.release_gate

browser: .venv/.dev tools ## the screens in a real Chromium
	$(RUN)/pytest -q tests/browser

.tools/bench/.installed: requirements-bench.txt
	python3 -m venv .tools/bench
	.tools/bench/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	touch $@

bench-peers: .tools/bench/.installed ## what TaskDash is measured beside, in an environment of its own (.tools/bench)
	tools/prepare bench

bench: .venv/.dev bench-peers ## speed, each figure as a ratio to its floor in the same run; writes docs/BENCHMARKS.md part by part
	$(PY) -m bench

bench-compare: .venv/.dev ## REV=<revision>: is the working tree slower than it? a table, and exit 1 when it is (about 4 minutes)
	@[ -n "$(REV)" ] || { echo "say beside what: make bench-compare REV=<revision>" >&2; exit 2; }
	$(PY) -m bench.compare "$(REV)"

screenshots: .venv/.dev tools ## take the pictures of the README from the demo, in both languages
	$(PY) tools/screenshots.py

sbom: install ## write dist/sbom.json, the bill of materials of a release (CycloneDX)
	$(PY) tools/sbom.py

settings-doc: install ## write docs/settings.md anew
	$(PY) -m taskdash.commands.settings_doc

requirements: .venv/.dev ## pin the requirements anew (needs uv)
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header requirements.in -o requirements.txt --python-version 3.11
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o requirements-dev.txt --python-version 3.11
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header requirements-bench.in -o requirements-bench.txt --python-version 3.11
