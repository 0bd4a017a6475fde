# Two commands set everything up: `make run` and `make test`.
PYTHON ?= python3
STUDY ?= default
PROFILE ?= laptop

VENV := .venv
READY := $(VENV)/ready
BIN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
# What a person gives reaches a command as it is: neither make nor the shell reads anything into it.
QUOTED = '$(subst ','\'',$(value $(1)))'
WITH = --study $(call QUOTED,STUDY) --profile $(call QUOTED,PROFILE)
unexport STUDY PROFILE NETWORK

.PHONY: run retry why plan files store train test lint lock reference clean

run: $(READY)  ## Compute what is missing of a study and write its report.
	@$(BIN) python -m pipeline run $(WITH)

retry: $(READY)  ## Compute the rows of a study that failed once more.
	@$(BIN) python -m pipeline retry $(WITH)

why: $(READY)  ## Tell in words what would run of a study, and why.
	@$(BIN) python -m pipeline why --study $(call QUOTED,STUDY)

plan: $(READY)  ## Tell what a study takes before anything runs, and what of it is left.
	@$(BIN) python -m pipeline plan --study $(call QUOTED,STUDY)

files: $(READY)  ## List the files of others that a study needs; DOWNLOAD=1 fetches those that are published openly.
	@$(BIN) python -m pipeline files --study $(call QUOTED,STUDY) $(if $(DOWNLOAD),--download)

store: $(READY)  ## List what the row store keeps, by study; PRUNE=1 deletes what no study needs.
	@$(BIN) python -m pipeline store --study $(call QUOTED,STUDY) $(if $(PRUNE),--prune)

train: $(READY)  ## Train the networks and generators of a study that are missing, or only NETWORK=name.
	@$(BIN) python -m pipeline run $(WITH) $(if $(value NETWORK),--train $(call QUOTED,NETWORK),--target train_all)

test: $(READY)  ## Run all tests, in one process more than there are cores: some of them wait for others.
	@$(BIN) OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= pytest --dist loadfile --no-loadscope-reorder \
		--numprocesses $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")

lint: $(READY)  ## Check style, imports and the workflow.
	@$(BIN) ruff check
	@$(BIN) ruff format --check
	@$(BIN) snakefmt --check Snakefile rules
	@$(BIN) lint-imports
	@$(BIN) snakemake --lint

reference: $(READY)  ## Write the reference of the study file and the tables of metrics anew.
	@$(BIN) python -m pipeline.commands.reference

lock: $(READY)  ## Pin the newest versions that pyproject.toml allows.
	@$(BIN) uv pip compile --quiet --universal --python-version 3.11 --group dev pyproject.toml \
		--constraint envs/constraints.txt --output-file envs/requirements.lock
	@$(BIN) python envs/conda.py

clean:  ## Remove the environment and all results; trained weights in resources/ stay.
	rm -rf $(VENV) results .snakemake .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; say which one with PYTHON=python3.12"; exit 1; }
	@echo "Installing the pinned packages into $(VENV) (about 6 GB, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet "$$(grep -E '^uv==' envs/requirements.lock)"
	@$(VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(VENV)/bin/python envs/requirements.lock
	@touch $@
