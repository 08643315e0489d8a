# make help   tells what there is.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= 8
# no more trainings at a time than the machine has processors
CPUS := $(shell getconf _NPROCESSORS_ONLN)
BIN := $(CURDIR)/.venv/bin
# the engines start the bare word `pigan`
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# every stage is a process, and would compile what it imports anew
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z.-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: .venv
.venv: .venv/.installed ## pigan and both engines, exactly the versions of constraints.txt, in .venv

.venv/.installed: pyproject.toml constraints.txt
	@command -v git > /dev/null || { echo "make: git is needed and was not found; install it" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
		{ echo "make: Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Installing into .venv (some 6 GB; about a minute on a fast line)"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python -c constraints.txt -e '.[engines,dev]'
	@pwd -P > $@

# in a folder that was moved or copied, it names the old place
$(shell test -s .venv/.installed && test "$$(cat .venv/.installed)" != "$$(pwd -P)" && rm -rf .venv)

.PHONY: report
report: .venv/.installed ## run what is not up to date (Snakemake) and tell where the report is; CORES=4 for fewer cores
	@$(call idle,dvc)
	@plan=$$(snakemake --dry-run report 2>&1) || { tail -n 20 <<< "$$plan" >&2; exit 1; }; \
	if grep -q 'missing provenance' <<< "$$plan"; then \
		echo "Some files came from DVC, so that Snakemake does not know of what they were made."; \
		python workflow/dvc_differences.py files || { echo "make: run make repro instead" >&2; exit 1; }; \
		echo "They are those of dvc.lock: taken over."; \
		$(take_over) || exit 1; \
	fi; \
	if ! grep '^Nothing to be done' <<< "$$plan"; then \
		snakemake --cores $(CORES) --resources cpu=$(CPUS) --quiet host reason -- report; \
	fi
	@echo "The report: file://$(CURDIR)/reports/$$(python -c '$(EXPERIMENT)')/report.html"

.PHONY: repro
repro: .venv/.installed ## the same with DVC, one stage after another, recorded in dvc.lock
	@$(call idle,snakemake)
	dvc repro
	@$(take_over)

.PHONY: record
record: .venv/.installed ## after Snakemake: put its results into dvc.lock and the DVC cache
	@$(call idle,snakemake) && $(call idle,dvc)
	@snakemake --dry-run report 2>&1 | grep -q '^Nothing to be done' || \
		{ echo "make: not everything is up to date; run make report first (snakemake --dry-run report tells what)" >&2; exit 1; }
	@[ "$(CODE)" = ran ] || [ ! -e dvc.lock ] || python workflow/dvc_differences.py code
	dvc commit --force
	@# it writes files anew, and Snakemake goes by their times
	@$(take_over)
	@echo "Recorded. Keep it with: git add dvc.lock && git commit, and dvc push if you have a remote."

.PHONY: adopt
adopt: .venv/.installed ## after dvc pull or dvc checkout: tell Snakemake that the files are up to date
	@$(call idle,snakemake) && $(call idle,dvc)
	@python workflow/dvc_differences.py files || \
		{ echo "make: run dvc pull first (dvc status tells what differs)" >&2; exit 1; }
	@$(take_over)
	@echo "Snakemake knows them as up to date now."

.PHONY: test
test: .venv/.installed ## style, types, workflow lint and all tests
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check workflow
	snakemake --lint
	pytest

.PHONY: workflow-report
workflow-report: .venv/.installed ## Snakemake's own report (times, commands, figures) in reports/workflow.html
	snakemake --report reports/workflow.html

.PHONY: docs
docs: .venv/.installed ## the documentation site: docs/_build/index.html; a warning is an error
	sphinx-build --fail-on-warning --keep-going --quiet -j 2 -b html -d docs/_build/.doctrees docs docs/_build
	@echo "The site: file://$(CURDIR)/docs/_build/index.html"

.PHONY: gallery
gallery: .venv/.installed ## the pictures of docs/gallery.md anew, by its own commands, with the model that comes with pigan
	python docs/gallery.py

.PHONY: schema
schema: .venv/.installed ## write workflow/schemas/params.schema.json anew from pigan/config.py
	pigan params --schema > workflow/schemas/params.schema.json

.PHONY: clean
clean: ## remove caches, logs and the plots page; results stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis logs dvc_plots docs/_build
	find pigan tests -name __pycache__ -type d -prune -exec rm -rf {} +

# the engines do not see each other's locks: $(call idle,ENGINE) fails in one line while ENGINE is at work here
idle = $(if $(filter snakemake,$1),\
	if [ -n "$$(ls -A .snakemake/locks 2> /dev/null)" ]; then echo "make: Snakemake is at work here: wait for it\
	(or, if it was killed, snakemake --unlock)" >&2; exit 1; fi,\
	for pid in $$(grep -o '"pid": *[0-9]*' .dvc/tmp/rwlock 2> /dev/null | grep -o '[0-9]*$$'); do\
	if ps -p $$pid > /dev/null; then echo "make: DVC is at work here (process $$pid): wait for it" >&2; exit 1; fi; done)

# all of it, so that Snakemake also notes the params and notices later changes
take_over = { said=$$(snakemake --cores 1 --touch --forceall 2>&1) || { tail -n 20 <<< "$$said" >&2; false; }; }

EXPERIMENT := from pathlib import Path; from pigan.config import load; print(load(Path("params.yaml")).experiment)
