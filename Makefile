# Two commands: `make report` runs everything on the real frameworks and shows the matrix, `make test` runs every test.
# PYTHON=... picks another interpreter for .venv (3.10 to 3.13).

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
OUT ?= report
READY := .venv/.ready
PY38 := $(shell sed -n 's|^"\(.*\)/\*\*" = "py38"|\1|p' pyproject.toml)
EXTRA := .venv/.ready-example

.PHONY: help report test lint bench example lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

report: $(READY)  ## run the documents' and the standard cases on every implementation; matrix and report/index.html
	.venv/bin/xent run --replace --out $(OUT)

test: lint $(EXTRA)  ## every test
	.venv/bin/python -m pytest -n 2 --dist loadgroup $(PYTEST)

lint: $(READY)  ## ruff, the layers of imports, what Python 3.8 lacks, and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports --no-logo --no-cache
	.venv/bin/vermin --quiet --violations --target=3.8- $(PY38)
	.venv/bin/mypy -p xent
	.venv/bin/mypy -p benchmarks

bench: $(EXTRA)  ## what the harness costs, then the losses: native against portable, in time and memory (half an hour)
	.venv/bin/python -m benchmarks.harness
	.venv/bin/python -m benchmarks.loss

example: $(EXTRA)  ## the same training in three frameworks, native and portable; prints where the picture is
	.venv/bin/python examples/port/port.py

COMPILE := .venv/bin/uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header
lock: $(READY)  ## pin requirements*.txt again from pyproject.toml
	$(COMPILE) --extra test -o requirements.txt pyproject.toml
	$(COMPILE) --extra example -c requirements.txt -o requirements-example.txt pyproject.toml

clean:  ## all that the other targets made here (the frameworks' environments stay in the user's cache)
	rm -rf .venv build dist *.egg-info report

# Pinned and hashed; the project itself comes last, editable, without another look at the index.
$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "xent needs Python 3.10 to 3.13 with venv on PATH; name one with: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements.txt
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(EXTRA): $(READY) requirements-example.txt
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements-example.txt
	@touch $@
