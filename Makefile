.DEFAULT_GOAL := help
.PHONY: help install fix check test docs

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install:  ## Install the checkout with everything for development
	pip install -e '.[dev]'
	@if git rev-parse --git-dir >/dev/null 2>&1; then pre-commit install; fi

fix:  ## Sort imports, fix what ruff can fix, format
	ruff check --fix .
	ruff format .

check:  ## Linters, types, import direction
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test:  ## The whole test suite
	pytest -n auto --dist loadfile

docs:  ## Check docs and docstrings: commands, options, links, examples
	pytest -q tests/test_documentation.py tests/test_evaluation_documentation.py tests/test_docstrings.py tests/test_doctests.py
