# Every target sets up what it needs, once; a second run does no set-up again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := core/runtime core/registry core/toolkit exporters/onnx $(wildcard plugins/*) tests/conformance examples/toy_plugin
PROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))

.PHONY: help setup demo test quick check format parity bench anatomy clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/.installed: constraints.txt $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation $(addprefix -e ,$(PACKAGES))
	touch $@

.venv/.developing: .venv/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev
	touch $@

setup: .venv/.developing  ## everything a developer needs, in .venv

check: .venv/.developing  ## ruff, format, pyright strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.developing  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: .venv/.developing  ## all tests
	$(BIN)/pytest -n 2 --dist worksteal

quick: .venv/.developing  ## all tests but those that build environments
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

demo: .venv/.installed  ## export the shipped weights, translate an image, leave a sheet to look at
	rm -rf demo-output && mkdir demo-output
	$(BIN)/i2i-registry export ugatit --onnx -o demo-output/ugatit-onnx
	$(BIN)/i2i-registry run demo-output/ugatit-onnx examples/images/chelsea.jpg --output attention -o demo-output/chelsea.png
	$(BIN)/python examples/demo.py demo-output/ugatit-onnx examples/images/chelsea.jpg demo-output/sheet.png

parity: .venv/.developing  ## compare with tensors recorded from the official implementations: make parity [DIR=...]
	$(BIN)/python -m tests.parity.table $(DIR)

bench: .venv/.developing  ## the figures of docs/benchmarks.md, side by side in one run (about twenty minutes)
	$(BIN)/python benchmarks/bench.py

anatomy:  ## the figures of docs/anatomy.md: modules, names, imports, lines of plugins
	$(PYTHON) benchmarks/anatomy.py

clean:  ## remove what the targets above made
	rm -rf .venv demo-output dist
