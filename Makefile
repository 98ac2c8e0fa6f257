# Each target makes the virtual environment it needs. Settings come from CAPTIONING_* variables: see README.md.
VENV := .venv
BIN := $(VENV)/bin
# The first Python on the path that TensorFlow supports; `make PYTHON=/path/to/python demo` overrides it.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$name && break; done)

.PHONY: demo data clean-data test lint bench compare page help
help:
	@echo "make demo   run every notebook top to bottom and write pages and their index.html to runs/"
	@echo "make data   fetch or draw the chosen dataset; asks before 10 GB or more, unless YES=1"
	@echo "make clean-data  list the data with its sizes, and delete it, or only NAMES=\"scenes/features\"; asks, unless YES=1"
	@echo "make page   caption your own photos in the browser, with the best model of make demo, or MODEL=name; PORT=8000"
	@echo "make test   run the tests"
	@echo "make lint   check code style, spelling and types"
	@echo "make bench  time everything against the usual ways, or only ROWS=\"training reading\"; writes runs/bench.json"
	@echo "make compare  train every decoder over one CAPTIONING_ENCODER with SEEDS=3 seeds, and compare them"

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks $(ROWS)

compare: $(VENV)/installed
	$(BIN)/python -m benchmarks.comparison --seeds $(or $(SEEDS),3)

demo: $(VENV)/installed
	$(BIN)/python -m captioning.notebooks

data: $(VENV)/installed
	$(BIN)/python -m captioning data $(if $(YES),--yes)

clean-data: $(VENV)/installed
	$(BIN)/python -m captioning clean-data $(NAMES) $(if $(YES),--yes)

page: $(VENV)/installed
	$(BIN)/python -m captioning export $(or $(MODEL),best) runs/page --serve $(PORT)

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy

$(VENV)/installed: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
