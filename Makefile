# What a person runs: `make run` and `make test`. What a developer runs: check, docs, bench, format.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Not compiled: Python does that at first use, to what is used; so it must be allowed to.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
PIP := $(INSTALL) -c constraints.txt
WHEEL_SITE := build/wheel-site

.PHONY: run test docs train-smoke soak check bench mutants format install-dev wheel clean

run: $(VENV)/.installed
	$(VENV)/bin/imedbench run

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

# Checks and tests see the built wheel, not the checkout: what is missing from it fails here.
wheel: $(VENV)/.installed-dev
	rm -rf build dist
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(INSTALL) --no-deps --target $(WHEEL_SITE) dist/*.whl

# By file, so that what the tests of a file share is made once; the longest come first by their names.
BY_FILE := -n 2 --dist loadfile --no-loadscope-reorder

test: check
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/pytest $(BY_FILE)

check: wheel
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	MYPYPATH=$(WHEEL_SITE) $(VENV)/bin/mypy -p imedbench
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/lint-imports

# The site: build/site/index.html. A dead link or an unknown name fails; nothing is loaded from elsewhere.
docs: wheel
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(PY) -m typer imedbench.cli utils docs \
		--name imedbench --title "Command line" | sed 's/^imedbench /    &/' > docs/reference/commands.md
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(PY) -m zensical build --strict --clean

# Two steps of every training, with the settings that ship.
train-smoke: wheel
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/pytest tests/test_train_smoke.py

# The long version of tests/faults: some ten minutes. Its lines belong into docs/explanation/reliability.md.
soak: wheel
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/pytest $(BY_FILE) tests/faults
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/python tests/soak/soak.py
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(VENV)/bin/python tests/soak/simulate.py
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE):tests/soak $(VENV)/bin/python tests/soak/two_nodes.py

bench: $(VENV)/.installed-dev
	$(VENV)/bin/pytest tests/benchmarks -o python_files='bench_*.py' --benchmark-only

mutants: wheel
	$(PIP) -e ".[mutation]"
	PYTHONSAFEPATH=1 PYTHONPATH=$(WHEEL_SITE) $(PY) tests/tools/mutants.py

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

clean:
	rm -rf build dist .cache $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
