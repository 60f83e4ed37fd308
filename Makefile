# `make help` lists what can be typed. Everything is installed into .venv from requirements/base.lock.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# DVC's own telemetry is off in .dvc/config; no stage but `encoder` may reach a model hub.
export DVC_NO_ANALYTICS := true
export HF_HUB_OFFLINE := 1

.PHONY: help install install-dev run run-linear test test-slow test-remote lint lock codiesp pr plots reproduce benchmark azurite doctor pull push share reset experiments clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# Wheels are checked against the hashes of the lock; torch alone is unhashed, because CPU and CUDA builds differ.
.venv/base: requirements/base.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/base.lock
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/dev: .venv/base requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

install: .venv/base  ## make .venv and install everything a run needs
install-dev: .venv/dev  ## the same, and what tests and linters need

run: .venv/base  ## bare machine to metrics on the synthetic hospital: install, dvc repro, table
	$(BIN)/dvc repro
	@$(BIN)/chartcode compare

# Its page needs what notes name, which takes several times as long: dvc repro report@tfidf.
run-linear: .venv/base  ## the linear coder alone, to its metrics: under a minute; minutes on full MIMIC-IV
	$(BIN)/dvc repro evaluate@tfidf
	@$(BIN)/chartcode compare

test: .venv/dev  ## bare machine to test results: install, the suite; minutes
	$(BIN)/pytest -n 2 -m "not slow and not remote"

test-slow: .venv/dev  ## what takes longer: whole pipelines, killed and forced, compilers, open data
	$(BIN)/pytest -n 2 -m "slow and not remote"

test-remote: .venv/dev  ## the tests that push and pull, against Azurite (needs Node and npm)
	$(BIN)/pytest -n 2 -m remote

lint: .venv/dev  ## ruff, format check, mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

LOCK = $(BIN)/uv pip compile pyproject.toml requirements/torch.in --override requirements/overrides.in --extra neural \
	--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: .venv/dev  ## resolve the locks anew from pyproject.toml (names, versions, hashes; no hosts)
	$(LOCK) --quiet --output-file requirements/base.lock
	$(LOCK) --quiet --extra dev --constraint requirements/base.lock --output-file requirements/dev.lock

# CodiEsp has 750 notes: every gold code is a label (the top 50 would cover 343 of 1,357 test pairs).
# What coders call things: codes of the 2018 edition; names of the publishers' files where they were fetched; in Spanish, the
# words that people marked in the train cases.
LANGUAGE ?= en
NAMES = $(if $(wildcard data/external/terminology),-S terminology.folder=data/external/terminology)
codiesp: .venv/base  ## real open cases (after `chartcode fetch codiesp`), every gold code; LANGUAGE=es for Spanish
	@git diff --quiet HEAD -- params.yaml || { echo "error: params.yaml differs from the last commit and an experiment builds on it; make reset, or commit"; exit 1; }
	$(BIN)/dvc exp run -S data.source=codiesp -S codiesp.language=$(LANGUAGE) \
		-S gold.top_k=null -S gold.min_count=1 -S silver.min_tokens=0 \
		-S link.language=$(LANGUAGE) -S link.year=2018 -S link.learn_from=$(if $(filter es,$(LANGUAGE)),evidence,codes) $(NAMES)
	@$(BIN)/chartcode compare

pr: .venv/dev  ## what this branch moves against main, as a page with figures: reports/pr
	@$(BIN)/chartcode pr

plots: .venv/dev  ## curves of here over those of main, one page that needs no network: reports/plots
	@$(BIN)/chartcode plots

reproduce: .venv/base  ## everything anew, and whether that gives what the last commit says
	$(BIN)/dvc repro --force
	@$(BIN)/chartcode reproduced

NOTES ?= 2000
benchmark: .venv/dev  ## the baseline beside the reference design, small: reports/benchmark; NOTES="10000 40000" for more
	$(BIN)/python -m benchmarks.baseline --notes $(NOTES) --rounds 1 --out reports/benchmark

azurite: .venv/dev  ## a shell in which Azurite, on this machine, stands for the Azure remote (needs Node and npm)
	@$(BIN)/python -m tests.azurite

doctor: .venv/base  ## what this machine, login and hospital lack, and where a push would go
	@$(BIN)/chartcode doctor

pull: .venv/base  ## artifacts from the private remote
	@$(BIN)/chartcode doctor --remote read
	$(BIN)/dvc pull

push: .venv/base  ## artifacts to the private remote
	@$(BIN)/chartcode doctor --remote write
	$(BIN)/dvc push
	@$(BIN)/dvc status --cloud --quiet || { echo "error: the remote lacks artifacts that dvc.lock names and this cache has not: dvc repro, push again"; exit 1; }

share: .venv/dev  ## one experiment for colleagues, looked through by the guard first: make share NAME=...
	@$(BIN)/chartcode guard --experiment $(NAME)
	@$(BIN)/chartcode doctor --remote write
	$(BIN)/dvc exp push origin $(NAME)

reset:  ## back to the last commit after a failed or unwanted experiment
	git restore --staged --worktree -- $$(git ls-files params.yaml dvc.lock stages/sources/dvc.lock metrics)
	git clean --quiet --force -d metrics
	$(BIN)/dvc checkout --force --allow-missing

# Paths and the numbers of val would make it wider than any screen; `dvc exp show --md` has them all.
UNSHOWN = (data|models|src|stages)/.*|.*\.val\..*|.*\.test\.(?!(micro_f1|macro_f1|map|p_at_8)$$).*
experiments: .venv/base  ## table of experiments: params that differ, four metrics of test
	@$(BIN)/dvc exp show --only-changed --md --drop '$(UNSHOWN)'

clean:  ## remove the virtual environment (data and cache stay)
	rm -rf .venv
