# Everything runs from a fresh clone: each target first makes .venv and installs into it.
PYTHON ?= python3
BIN := .venv/bin
NPLM := $(BIN)/nplm
SAMPLES := sample_corpora
# Small texts want small, tied, regularised models.
DEMO := --dim 64 --hidden 128 --tie --dropout 0.2 --lr 0.004 --epochs 6

.PHONY: demo test test-all check format docs bench mutants clean

demo: .venv/installed
	$(NPLM) train $(SAMPLES)/en/raw/train.txt --valid $(SAMPLES)/en/raw/valid.txt \
	  --test $(SAMPLES)/en/raw/test.txt $(DEMO) -o runs/demo-en --force
	$(NPLM) score runs/demo-en "The old farmer sold three horses ." "Horses three the sold old farmer ."
	$(NPLM) neighbors runs/demo-en apples Monday happy -k 5
	$(NPLM) train $(SAMPLES)/zh/tagged/train.txt --valid $(SAMPLES)/zh/tagged/valid.txt \
	  --test $(SAMPLES)/zh/tagged/test.txt $(DEMO) -o runs/demo-zh --force
	$(NPLM) score runs/demo-zh "医生 在 北京 买 了 三 斤 苹果 。" "苹果 三 在 了 医生 斤 买 北京 。" --per-token
	$(NPLM) neighbors runs/demo-zh 苹果 北京 高兴 -k 5
	@echo "The models are in runs/demo-en and runs/demo-zh; ask them more: $(NPLM) --help"

test: .venv/installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: .venv/installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m ""

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-dev
	$(BIN)/python docs/make_cli_reference.py

# make bench BENCH=--quick takes a few minutes. All of them go on where one fails.
bench: .venv/installed-bench
	@failed=; for name in startup throughput neighbors encoding tables arpa; do \
	  echo; echo "== benchmarks/$$name.py $(BENCH)"; \
	  $(BIN)/python benchmarks/$$name.py $(BENCH) || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

mutants: .venv/installed-dev
	$(BIN)/python tests/mutants

clean:
	rm -rf .venv runs build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[report]'
	@touch $@

.venv/installed-bench: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@ .venv/installed

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ .venv/installed
