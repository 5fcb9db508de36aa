# `make quickstart` and `make test` set up what they need in .venv; PYTHON chooses the interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: quickstart test lint types check docs gallery clean

quickstart: $(READY)
	$(BIN)/pyserini-optical quickstart

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

docs: $(READY)
	$(BIN)/mkdocs build --strict

# One page of the committed studies.
gallery: $(READY)
	$(BIN)/python -m pyserini_optical.evaluate.gallery runs

$(READY): setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf .venv work build dist *.egg-info
