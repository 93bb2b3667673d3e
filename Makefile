# The commands of the project. .venv is made on first use and renewed when a lock file or pyproject.toml has changed.
TORCH := 2.13.0
# No file enters that a lock file has no hash of, and nothing that is not in one (docs/dependencies.md).
INSTALL := .venv/bin/pip install -q --require-hashes --no-deps
LOCKS := requirements-build.lock requirements-cpu.lock requirements.lock requirements-cuda.lock
IS_CPU := import sys, importlib.metadata as m; sys.exit(not m.version("torch").endswith("+cpu"))

.PHONY: run test test-slow bench results lock audit venv venv-dev
.DEFAULT_GOAL := run

run: venv  ## every stage, on the embedded data unless told otherwise
	@.venv/bin/regatta run

# The temporary folders are in one of this run's own: what a killed run has left, a mount too, is not its to clear away.
test: venv-dev  ## format, lint, types, tests: in two processes, and beside them those of clusters, which mostly wait; shown last
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	@PYTEST_DEBUG_TEMPROOT=$$(mktemp -d -t rg.XXXXXX); export PYTEST_DEBUG_TEMPROOT; log=$$PYTEST_DEBUG_TEMPROOT/clusters; \
	  .venv/bin/pytest tests/distributed > $$log 2>&1 & clusters=$$!; failed=; \
	  .venv/bin/pytest -n 2 --ignore=tests/distributed || failed=1; wait $$clusters || failed=1; \
	  cat $$log; test -z "$$failed" && { rm -rf $$PYTEST_DEBUG_TEMPROOT || echo "Left behind: $$PYTEST_DEBUG_TEMPROOT"; }

test-slow: venv-dev  ## the tests that take minutes
	.venv/bin/pytest -m slow

bench: venv-dev run  ## what needs no data but the embedded digits (benchmarks/README.md has the rest), then RESULTS.md
	.venv/bin/python -m benchmarks.make_run
	.venv/bin/python -m benchmarks.startup
	.venv/bin/python -m benchmarks.train_step --dataset artifacts/prepare --row digits
	.venv/bin/python -m benchmarks.augment_images
	.venv/bin/python -m benchmarks.predict_arrays artifacts/train artifacts/prepare
	.venv/bin/python -m benchmarks.predict_files start artifacts/train
	.venv/bin/python -m benchmarks.serve digit artifacts/train
	.venv/bin/python -m benchmarks.accuracy digits
	.venv/bin/python -m benchmarks.accuracy diabetes
	.venv/bin/python -m benchmarks.findings digits
	.venv/bin/python -m benchmarks.table

results: venv-dev  ## RESULTS.md from benchmarks/results/
	.venv/bin/python -m benchmarks.table

lock: venv-dev  ## the lock files with a hash for every file, versions as they are; UPGRADE=1: the newest that pyproject.toml allows
	.venv/bin/python dependencies/lock.py --torch $(TORCH) $(if $(UPGRADE),--upgrade)

audit: venv-dev  ## known vulnerabilities of what is locked, but for those that dependencies/accepted.toml gives a reason for
	@.venv/bin/python dependencies/audit.py

# What is installed is compared with the files it was installed from, not with their dates, which a checkout changes.
venv: .venv/bin/python
	@cat $(LOCKS) pyproject.toml | cmp -s - .venv/installed || { set -e; rm -f .venv/installed; \
	  echo "Installing the pinned dependencies into .venv: 2.2 GB with a CPU build of torch, about 7 GB with CUDA; this takes minutes."; \
	  $(INSTALL) -r requirements-build.lock; \
	  if .venv/bin/pip install -q --dry-run --no-deps torch==$(TORCH)+cpu 2> /dev/null; \
	  then $(INSTALL) -r requirements-cpu.lock; else echo "No CPU build of torch is at hand: taking the one of the index."; fi; \
	  $(INSTALL) --no-build-isolation -r requirements.lock; \
	  .venv/bin/python -c '$(IS_CPU)' || $(INSTALL) -r requirements-cuda.lock; \
	  PYTHONWARNINGS=ignore .venv/bin/pip install -q --no-deps --no-build-isolation -e .; .venv/bin/pip check; \
	  cat $(LOCKS) pyproject.toml > .venv/installed; }

venv-dev: venv
	@cmp -s requirements-dev.lock .venv/installed-dev || { set -e; rm -f .venv/installed-dev; \
	  echo "Installing what lints and tests into .venv."; \
	  $(INSTALL) --no-build-isolation -r requirements-dev.lock; .venv/bin/pip check; \
	  cp requirements-dev.lock .venv/installed-dev; }

.venv/bin/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null; then \
	    echo "Making .venv with $$($$python --version)"; exec $$python -m venv --clear .venv; fi; done; \
	echo "make: needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: apt-get install python3-venv); found: $$(python3 --version 2>&1)." \
	  "Another one is taken with: make PYTHON=/path/to/python3.13" >&2; exit 2
