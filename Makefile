# The README's two commands are `make demo` and `make test`; each does all of its own set-up.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

demo: .venv/.ready-demo
	$(BIN)/spiritsafe drill --quick --out out/demo

test: .venv/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.ready-dev
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.venv/.ready-demo: pyproject.toml constraints.txt teacher.txt scripts/setup
	PYTHON=$(PYTHON) scripts/setup demo

.venv/.ready-dev: pyproject.toml constraints.txt teacher.txt scripts/setup
	PYTHON=$(PYTHON) scripts/setup dev

clean:
	rm -rf .venv out .bench
