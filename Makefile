# Everything a fresh machine needs: `make demo` and `make test` set up .venv by themselves.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
OUT ?= out/demo
TESTS ?=

.PHONY: demo test test-all mutants bench lint format types clean

demo: $(STAMP)
	$(BIN)/python examples/evaluate_scripted_agents.py --episodes 96 --out $(OUT)/families
	$(BIN)/python examples/demo.py --out $(OUT)

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadgroup $(TESTS)

test-all: $(STAMP)
	$(BIN)/python -m pytest

mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutants]"
	for suite in env rewards loss; do $(BIN)/python tests/mutation/run.py $$suite || failed=1; done; exit $${failed:-0}

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/run_all.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "metis-gym needs Python 3.11 or newer; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[envs,agents,data,docker,search,dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) out dist .pytest_cache .mypy_cache .ruff_cache
