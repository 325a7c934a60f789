# The two commands of the README, `make demo` and `make test`, and what continuous integration adds.
# Each makes a virtual environment if there is none and installs the pinned dependencies into it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN     = $(VENV)/bin
SOURCES = pyproject.toml CMakeLists.txt constraints.txt $(shell find cpp -type f)

.PHONY: demo test lint types doctest wheel docs sanitize bench clean accessibility

demo: $(VENV)/.installed
	$(BIN)/gossamer compare --data digits-graph --model gcn \
	  --methods dense,magnitude,magnitude-simd,magnitude-filters,gradual,rigl,set \
	  --sparsities 0.5,0.9 --seeds 0,1,2 --threads 1 --out demo-run

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

doctest: $(VENV)/.installed
	$(BIN)/python -m pytest --doctest-modules --doctest-glob='*.md' src/gossamer docs README.md -p no:cacheprovider

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

sanitize:
	scripts/sanitize

bench: $(VENV)/.installed
	$(BIN)/gossamer bench kernels --scale full --out benchmarks/results

# A report in headless Chromium (CHROMIUM=/usr/bin/chromium) under axe-core and by keyboard; needs Node and, once, npm.
accessibility: $(VENV)/.installed
	mkdir -p build/accessibility
	npm install --silent --no-save --prefix build/accessibility axe-core@4.14.1 playwright-core@1.65.1
	$(BIN)/python -c "from gossamer import report; from tests.report.fixture import run; \
	  report.write(run(), 'build/accessibility/report.html')"
	node tests/report/accessibility.mjs build/accessibility build/accessibility/report.html

wheel: $(VENV)/.installed
	$(BIN)/python -m build --wheel --outdir dist

# Editable, so that the tests see the sources as they are; the native module is rebuilt when cpp/ changes.
$(VENV)/.installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev,docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist site demo-run
