# make demo: a fresh clone becomes slides, features, an index, ranked hits and a table of metrics.
# make test: a fresh clone runs every check and every test.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint bench install clean
.DEFAULT_GOAL := demo

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 12), "Python 3.11 or 3.12 is needed; make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $(READY)

demo: $(READY)
	$(BIN)/python search.py -m data=demo engine=patch_flat,here index=flat,itq_lsh,hnsw_ivfpq encoder=stain_texture hydra.sweep.dir=outputs/demo/leaderboard
	$(BIN)/python build_index.py data=demo engine=here index=flat encoder=stain_texture index_dir=outputs/demo/index hydra.run.dir=outputs/demo/build
	$(BIN)/python search.py index_dir=outputs/demo/index query=data/demo/slides/DEMO-01-A.tif query.region=[3000,2500,2048,2048] query.patient=DEMO-01 k=5 hydra.run.dir=outputs/demo/query
	@echo
	@echo "Look at outputs/demo/query/report.html (ranked hits with thumbnails),"
	@echo "outputs/demo/leaderboard/leaderboard.html (six engines) and outputs/demo/leaderboard/0/report.html (one of them)."

test: lint
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.index_frontier
	$(BIN)/python -m benchmarks.streaming_build

clean:
	rm -rf $(VENV) outputs cache
