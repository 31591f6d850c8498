# make demo: a fresh clone becomes slides, features, an index, ranked hits and a table of metrics.
# make test: a fresh clone runs every check and every test.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint install clean
.DEFAULT_GOAL := demo

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 12), "Python 3.11 or 3.12 is needed; make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $(READY)

demo: $(READY)
	$(BIN)/python search.py data=demo engine=patch_flat encoder=stain_texture eval=leave_one_patient_out hydra.run.dir=outputs/demo/protocol
	$(BIN)/python build_index.py data=demo engine=here encoder=stain_texture index_dir=outputs/demo/index hydra.run.dir=outputs/demo/build
	$(BIN)/python search.py index_dir=outputs/demo/index query=data/demo/slides/DEMO-01_40x.tif query_region=[3000,2500,2048,2048] k=5 hydra.run.dir=outputs/demo/query
	@echo
	@echo "Open outputs/demo/query/report.html (ranked hits) and outputs/demo/protocol/report.html (metrics)."

test: lint
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) outputs cache
