# make demo   stream a real heart through a shipped model (no torch needed)
# make test   the tests
# make help   the rest

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
DEVICE := .venv/.device
DEV := .venv/.dev
DOCS := .venv/.docs
FPGA := .venv-fpga
WHEELS := .venv-wheels

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint lint-platforms lint-packages docs browser wheels arm pins release models figures study-quick study-long study-full study-weights bench peers soak fuzz fpga clean

help:
	@echo 'make demo     stream a real heart through a shipped model, into edgerecon-demo/ (VIEW=1: watch it live)'
	@echo 'make test     run the tests (FAST=1: without training, browsers, clusters and compilers)'
	@echo 'make coverage run the tests, and say which lines of the package they do not reach'
	@echo 'make lint     style, types and the import contract'
	@echo 'make lint-platforms  types as on Windows and macOS'
	@echo 'make lint-packages  the Dockerfiles by hadolint, the conda recipe by rattler-build'
	@echo 'make wheels   the source archive and the wheels, into dist/, each installed and streamed without a network'
	@echo 'make arm      install, test and stream on aarch64 by qemu-user, and compare every output (CONTRIBUTING.md)'
	@echo 'make pins     check that the pinned versions install on Python 3.10 to 3.14, x86-64 and aarch64, and a bundle here'
	@echo 'make release  check, build and tag a version; nothing is uploaded'
	@echo 'make browser  fetch and compile what the demo in the browser runs on; then make docs puts the demo into the site'
	@echo 'make docs     the documentation as a site, into site/, with every link checked'
	@echo 'make models   simulate, train and export the shipped models anew (about an hour and a half on 2 cores)'
	@echo 'make figures  measure image quality again (RECORDINGS=folder: also on your own recordings)'
	@echo 'make study-quick  train and compare every published method (40 minutes on 2 cores); study-long: a night; study-full: on a GPU'
	@echo 'make bench    measure everything on this machine, and write the page and the table of the README'
	@echo 'make peers    other runtimes and streaming frameworks on the same frames, each in an environment of its own'
	@echo 'make soak     stream a million frames with a fault every thousand, and compare every count'
	@echo 'make fpga     check the FPGA path with open tools, which it installs (about 5 minutes on 2 cores)'
	@echo 'make clean    remove the environment and everything that was made'

demo: $(DEVICE)
	$(BIN)/edgerecon demo $(if $(VIEW),--view)

# One process a core and one more (tests/conftest.py); libraries that take every core for themselves would stand in each
# other's way. Compiled Python is kept, since tests start hundreds of processes. A process that dies ends the run: a new
# one would wait without end. The files are taken in the order of tests/conftest.py, not those of most tests first.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --max-worker-restart 0 \
	--dist loadfile --no-loadscope-reorder

test: $(DEV)
	$(PYTEST) $(if $(FAST),-m 'not slow')

coverage: $(DEV)
	$(PYTEST) --cov --cov-report=term

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-platforms: $(DEV)
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin

lint-packages: $(WHEELS)/.ready
	$(WHEELS)/bin/hadolint docker/Dockerfile.cpu docker/Dockerfile.cuda
	sed 's/\([^$$]\)\$$[a-z]\+/\1x/g; s/\$$\$$/$$/g' edgerecon/deploy/bundle/files/Dockerfile.l4t | $(WHEELS)/bin/hadolint -  # as a bundle fills it
	$(WHEELS)/bin/python tools/conda_render.py conda/recipe.yaml

wheels: $(WHEELS)/.ready
	$(WHEELS)/bin/python tools/wheels.py dist
	$(WHEELS)/bin/python tools/wheels_check.py dist

$(WHEELS)/.ready: tools/wheels.txt | .venv/bin/python
	@.venv/bin/python -m venv $(WHEELS)
	$(WHEELS)/bin/python -m pip install -qq --disable-pip-version-check -r tools/wheels.txt
	@touch $@

arm: $(DEV)
	$(BIN)/python tools/arm.py .arm

pins: $(DEV)
	$(BIN)/python tools/pins.py
	EDGERECON_INDEX=1 $(BIN)/pytest tests/deploy/bundle/test_lock.py

release: $(DEV)
	$(BIN)/python tools/release.py

browser: $(WHEELS)/.ready
	timeout 600 npm ci --prefix tools/browser --no-audit --no-fund --loglevel=error
	$(WHEELS)/bin/python tools/browser/kernels.py

docs: $(DOCS)
	$(BIN)/pytest -q tests/test_links.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'edgerecon needs Python 3.10 or later: name one with  make PYTHON=python3.x ...' >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo 'the venv module is missing: on Debian and Ubuntu  apt install python3-venv' >&2; exit 1; }

$(DEVICE): pyproject.toml $(CONSTRAINTS) | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c $(CONSTRAINTS) -e '.[stream]'
	@touch $@

$(DEV): pyproject.toml $(CONSTRAINTS) | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@ $(DEVICE)

$(DOCS): pyproject.toml $(CONSTRAINTS) | $(DEV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c $(CONSTRAINTS) -e '.[docs]'
	@touch $@

models: $(DEV)
	$(BIN)/edgerecon simulate edgerecon-runs/display.h5 --kind display --samples 5000 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/lesions.h5 --kind lesions --samples 2000 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/recorded.h5 --kind recorded --samples 1200 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/acoustic.h5 --samples 115 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/display-10000.h5 --kind display --samples 10000 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/lesions-4000.h5 --kind lesions --samples 4000 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/acoustic-199.h5 --samples 199 --seed 1
	$(BIN)/edgerecon simulate edgerecon-runs/train.h5 --samples 1000 --seed 1
	$(MAKE) -j2 train-compact-despeckle-large train-compact-despeckle train-compact-despeckle-small train-compact-despeckle-w8d4 train-compact-compound
	for model in compact-despeckle-large compact-despeckle compact-despeckle-small compact-despeckle-w8d4 compact-compound; do \
		$(BIN)/edgerecon export export/$$model.toml || exit 1; \
	done
	$(BIN)/edgerecon export export/compact-fpga.toml --checkpoint export/compact-despeckle-small.pt

train-%: $(DEV)  # its stages one after another
	for recipe in $(sort $(wildcard export/stages/$*-[0-9].toml)) export/$*.toml; do \
		OMP_NUM_THREADS=1 $(BIN)/edgerecon train $$recipe --resume || exit 1; \
	done

figures: $(DEV)
	$(BIN)/edgerecon simulate edgerecon-runs/heldout.h5 --samples 64 --seed 1001
	$(BIN)/edgerecon evaluate compact-despeckle --data edgerecon-runs/heldout.h5 --backend onnxruntime --json bench/results/despeckle-simulated.json
	$(BIN)/edgerecon evaluate compact-compound --data edgerecon-runs/heldout.h5 --backend onnxruntime --json bench/results/compound-simulated.json
ifdef RECORDINGS
	$(BIN)/edgerecon evaluate compact-despeckle --data $(RECORDINGS) --backend onnxruntime --json bench/results/despeckle-real.json
endif

study-quick study-long study-full: study-%: $(DEV)
	$(BIN)/edgerecon study --profile $* --resume --json bench/results/study-$*.json $(if $(RECORDINGS),--recordings $(RECORDINGS))

study-weights:  # what a long study has trained and ships
	cp edgerecon-study/long/recurrent/models/study-conv-rnn.onnx export/study/
	cp $(foreach task,denoising artefacts contrast,edgerecon-study/long/restoration/models/study-$(task)-dncnn.onnx) export/study/

SHIPPED := compact-compound compact-despeckle compact-despeckle-large compact-despeckle-small compact-despeckle-w8d4 compact-fpga
STUDIED := $(foreach name,tomography/models/study-ct-sparse super_resolution/models/study-srcnn-x2 \
	recurrent/models/study-row-rnn recurrent/models/study-conv-rnn,$(wildcard edgerecon-study/quick/$(name).onnx))

bench: $(DEV)  # with the networks of  make study-quick  where they have been trained
	$(BIN)/python bench/stream_loop.py --frames 8000 --json bench/results/stream-loop.json
	$(BIN)/python bench/startup.py --json bench/results/startup.json
	$(BIN)/python bench/harness_error.py --json bench/results/harness-error.json
	$(BIN)/python bench/eight_streams.py --json bench/results/eight-streams-fp32.json
	$(BIN)/python bench/eight_streams.py --precision int8 --json bench/results/eight-streams.json
	$(BIN)/python bench/openigtlink.py --fps 220 --json bench/results/openigtlink.json
	$(BIN)/python bench/viewer_load.py --json bench/results/viewer-load.json
	$(BIN)/edgerecon demo && cp edgerecon-demo/report.json bench/results/demo.json
	$(BIN)/edgerecon fit --deadline 33ms --min-ssim 0.8 --json bench/results/fit-33ms.json
	$(BIN)/edgerecon fit --deadline 15ms --min-ssim 0.7 --json bench/results/fit-15ms.json
	$(BIN)/pytest bench/suites --benchmark-enable --benchmark-json bench/results/$$(hostname)-$$(date +%F).json
	$(BIN)/edgerecon simulate edgerecon-runs/heldout.h5 --samples 64 --seed 1001
	$(BIN)/edgerecon bench $(SHIPPED) $(STUDIED) --data edgerecon-runs/heldout.h5 --scenario realtime --scenario singlestream \
		--scenario multistream --scenario offline --scenario server \
		--json bench/results/models.json -o bench/results/models.html
	$(BIN)/edgerecon bench --json bench/results/shipped.json
	$(BIN)/python bench/readme.py

HOLOSCAN_PYTHON := $(if $(HOLOSCAN),--holoscan-python $(HOLOSCAN))
INFERENCE_PYTHON := $(if $(INFERENCE),--inference-python $(INFERENCE))
peers: $(DEV)  # HOLOSCAN=, INFERENCE=: pythons of environments that have them, bench/peers/README.md
	$(BIN)/python bench/peers/run.py --json bench/results/peers.json
	$(BIN)/python bench/stream_overhead.py $(HOLOSCAN_PYTHON) --json bench/results/stream-overhead.json
	$(BIN)/python bench/stream_peers.py $(HOLOSCAN_PYTHON) $(INFERENCE_PYTHON) --json bench/results/stream-peers.json
	$(BIN)/python bench/readme.py

soak: $(DEV)
	$(BIN)/python bench/soak.py --json bench/results/soak.json

fpga: export EDGERECON_FPGA_TOOLS := $(FPGA)
fpga: $(DEV) $(FPGA)/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile tests/fpga tests/deploy/fpga/test_fpga_build.py
	$(BIN)/python bench/fpga.py --json bench/results/fpga.json

$(FPGA)/.ready: kernels/hls/tools.txt | .venv/bin/python
	@.venv/bin/python -m venv $(FPGA)
	$(FPGA)/bin/python -m pip install -qq --disable-pip-version-check -r kernels/hls/tools.txt
	@touch $@

fuzz: $(DEV)  # a minute of bytes that nobody sent on purpose
	$(BIN)/python -m pip install --quiet atheris
	$(BIN)/python tests/fuzz/openigtlink.py -max_total_time=60 -max_len=4096 -rss_limit_mb=600 -timeout=5

clean:
	rm -rf $(FPGA) $(WHEELS) .arm .venv edgerecon-demo site
