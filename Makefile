# The commands of the project. .venv is made on first use and renewed when a lock file or pyproject.toml has changed.
TORCH := 2.13.0

.PHONY: run test test-slow bench results lock venv venv-dev
.DEFAULT_GOAL := run

run: venv  ## every stage, on the embedded data unless told otherwise
	@.venv/bin/regatta run

test: venv-dev  ## format, lint, types, tests: two processes, then those of clusters, which start processes of their own
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --ignore=tests/distributed
	.venv/bin/pytest tests/distributed

test-slow: venv-dev  ## the tests that take minutes
	.venv/bin/pytest -m slow

bench: venv-dev run  ## what needs no data but the embedded digits (benchmarks/README.md has the rest), then RESULTS.md
	.venv/bin/python -m benchmarks.make_run
	.venv/bin/python -m benchmarks.startup
	.venv/bin/python -m benchmarks.train_step --dataset artifacts/prepare --row digits
	.venv/bin/python -m benchmarks.augment_images
	.venv/bin/python -m benchmarks.accuracy digits
	.venv/bin/python -m benchmarks.findings digits
	.venv/bin/python -m benchmarks.table

results: venv-dev  ## RESULTS.md from benchmarks/results/
	.venv/bin/python -m benchmarks.table

lock: venv-dev  ## resolve the dependencies anew; what a CUDA build of torch needs is left to torch, so that a CPU build does without
	.venv/bin/pip install uv
	echo "torch==$(TORCH)" > .venv/pins
	.venv/bin/uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-annotate --no-header -c .venv/pins -o .venv/all
	grep -vE '^(nvidia|cuda|triton)' .venv/all > requirements.lock
	.venv/bin/uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --no-annotate --no-header -c requirements.lock -o .venv/all
	(echo "-r requirements.lock"; grep -vE '^(nvidia|cuda|triton)' .venv/all | grep -vxFf requirements.lock) > requirements-dev.lock

# What is installed is compared with the files it was installed from, not with their dates, which a checkout changes.
venv: .venv/bin/python
	@cat requirements.lock pyproject.toml | cmp -s - .venv/installed || { set -e; rm -f .venv/installed; \
	  echo "Installing the pinned dependencies into .venv: 2.2 GB with a CPU build of torch, about 7 GB with CUDA; this takes minutes."; \
	  .venv/bin/pip install -q -r requirements.lock; .venv/bin/pip install -q --no-deps --no-build-isolation -e .; \
	  cat requirements.lock pyproject.toml > .venv/installed; }

venv-dev: venv
	@cmp -s requirements-dev.lock .venv/installed-dev || { set -e; rm -f .venv/installed-dev; \
	  echo "Installing what lints and tests into .venv."; \
	  .venv/bin/pip install -q -r requirements-dev.lock; cp requirements-dev.lock .venv/installed-dev; }

.venv/bin/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null; then \
	    echo "Making .venv with $$($$python --version)"; exec $$python -m venv --clear .venv; fi; done; \
	echo "make: needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: apt-get install python3-venv); found: $$(python3 --version 2>&1)." \
	  "Another one is taken with: make PYTHON=/path/to/python3.13" >&2; exit 2
