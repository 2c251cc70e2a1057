# The main commands are `make repro` and `make test`; each sets up .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

# Medical data and its use stay private: no telemetry, and servers listen on the loopback only.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := true
export GX_ANALYTICS_ENABLED := false
export TF_CPP_MIN_LOG_LEVEL ?= 2
# The same settings for programs that are started from .venv without make, such as `mlflow ui`.
QUIET := import os; [os.environ.setdefault(name, "true") for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DVC_NO_ANALYTICS")]; os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
# A fixed hash seed keeps reruns on one machine identical.
export PYTHONHASHSEED := 0
# Bytecode is written even if the environment forbids it: otherwise each of hundreds of processes would compile this project's code again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup versions repro lint test test-all covered test-fast docs ui bench drill lock newest mutants clean-venv
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"brats-cascade needs Python 3.11 to 3.13, found {v.major}.{v.minor}: run  make $(MAKECMDGOALS) PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned requirements into $(VENV) (only once; about 4 GB on disk) ..."
	@awk '/^[^ ]/ {keep = /^(setuptools|wheel)==/} keep' requirements.txt > $(VENV)/build.txt # needed to build the few packages without a wheel
	@$(PIP) --require-hashes -r $(VENV)/build.txt
	@$(PIP) --require-hashes --no-build-isolation --no-compile -r requirements.txt
	@$(PIP) --no-index --no-build-isolation --editable .
	@echo '$(QUIET)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/quiet.pth" # read at every start
	@$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >/dev/null || true # on all cores; where bytecode is never written, every start would be slow
	@touch $@

setup: $(STAMP) ## install the pinned environment into .venv

versions: # DVC refuses to run in a folder without git, such as a ZIP download
	@test -e .git || grep -qsE 'no_scm *= *[Tt]rue' .dvc/config.local .dvc/config || { echo 'error: no git repository here (a ZIP download?), so DVC does not work; run  git init && git add -A && git commit -m start  and then  make repro' >&2; exit 1; }

repro: versions $(STAMP) ## run the whole pipeline (dvc repro) and print the results
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/brats-cascade results

lint: $(STAMP) ## run the linter, the type checker and the check of import layers
	@$(BIN)/ruff check src pipelines tests benchmarks drills docs
	@$(BIN)/ruff format --check --quiet src pipelines tests benchmarks drills docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

test: $(STAMP) ## run linter, type checker and tests, and print the line coverage of src
	@$(MAKE) --no-print-directory --jobs=2 lint covered TESTS='-m "not long"' # the linters use one core only

test-all: $(STAMP) ## the same with the longest tests: sessions of the documentation, several devices and machines
	@$(MAKE) --no-print-directory --jobs=2 lint covered

covered: # run the tests, and print the line coverage of src
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)
	@$(BIN)/coverage combine --quiet 2>/dev/null || true # tests kill processes, whose data may be incomplete
	@rm -f .coverage.*
	@$(BIN)/coverage report --format=total --fail-under=0 | sed 's/.*/Line coverage of src: & %/'
	@$(BIN)/coverage report --format=total >/dev/null # fails below the bar set in pyproject.toml

test-fast: $(STAMP) ## run the tests without training and other processes (a minute)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

ui: $(STAMP) ## serve MLflow's UI on http://127.0.0.1:5000 (other port: make ui MLFLOW_PORT=5001)
	@$(BIN)/python -c 'from brats_cascade.tracking.store import link; print("The runs:", link())'
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --workers 1

bench: $(STAMP) ## run the benchmarks and update docs/results/speed.md
	@$(BIN)/python -m benchmarks

drill: $(STAMP) ## inject thousands of faults and update docs/reliability.md (half an hour)
	@$(BIN)/python -m drills

docs: $(STAMP) ## build the documentation site in site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: ## regenerate requirements.txt from pyproject.toml, with hashes (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra dev --fork-strategy fewest --upgrade --generate-hashes \
	  --no-header --no-annotate --quiet --output-file requirements.txt

newest: ## run the fast tests with the newest releases that pyproject.toml allows (needs uv; 4 GB)
	uv venv --quiet --clear --python $(PYTHON) .work/newest
	uv pip install --quiet --python .work/newest/bin/python --editable '.[dev]'
	uv pip freeze --quiet --python .work/newest/bin/python | sed 's/==/ /' > .work/newest/releases.txt
	@sed -n 's/^\([a-z0-9.-]*\)==\([^ ;]*\).*/\1 \2/p' requirements.txt | diff - .work/newest/releases.txt | grep '^[<>]' || true # pinned and newest
	.work/newest/bin/python -m pytest -n 2 --dist loadfile -m "not slow"

mutants: $(STAMP) ## run mutation testing and update docs/results/mutants.md (about 5 minutes)
	@test -d .work/mutmut || $(PIP) --require-hashes --target .work/mutmut -r benchmarks/mutmut.txt
	@PYTHONPATH=$(CURDIR)/.work/mutmut $(BIN)/python -m benchmarks.mutants

clean-venv: ## remove .venv
	rm -rf $(VENV)
