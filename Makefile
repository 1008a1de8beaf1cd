# Targets for contributors; .ci/run uses them too. `make test`, `make check` and so on.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test check slow docs bench soak

# The pinned development environment.
.venv: requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps -e .
	touch .venv

# The quick tests, about five minutes. One test: .venv/bin/pytest tests/fetch/test_pages.py::NAME
test: .venv
	$(BIN)/pytest -n auto

# Everything but the quick tests: style, types, imports between folders, slow tests. All checks are
# `make test check`.
check: .venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -m "slow and not alone"
	$(BIN)/pytest -m alone

# Fills the generated blocks and images of the documents. It needs Chromium for two screenshots.
docs: .venv
	$(BIN)/python docs/refresh.py

# Compares speed with other tools, and prints one table, more than an hour. Close other programs
# first. One benchmark: .venv/bin/python tests/benchmarks/bulk.py first 5
bench: .venv
	$(BIN)/pip install -q "dlt[sqlalchemy]>=1.31" "sqlite-utils>=3.38" "duckdb>=1.4" "pandas>=2.3"
	$(BIN)/python tests/benchmarks/table.py

# All tests, quick and slow, with ten times as many kills and random examples.
soak: .venv
	CFPB_ETL_SOAK=1 $(BIN)/pytest -n auto -m "not alone"
	CFPB_ETL_SOAK=1 $(BIN)/pytest -m alone
