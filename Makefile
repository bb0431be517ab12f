# `make quickstart` and `make test` are all a newcomer needs; Python 3.11 and pip do the rest.
PYTHON ?= python3.11
BIN = .venv/bin
PACKAGES = . cli cli/verbs demo training training/data training/engines training/evaluation training/tuning export export/lowering device_runtime
SOURCES = $(wildcard $(addsuffix /*.py,$(PACKAGES)) demo/page/* device_runtime/vectors/*)
UV_FLAGS = --quiet --override requirements/overrides.txt --python-version 3.11 \
  --python-platform x86_64-manylinux_2_31 --generate-hashes --no-annotate --no-header

.PHONY: quickstart test test-slow device-artifacts test-pythons test-arm64 test-web test-browser docs lint format lock clean

quickstart: .venv/installed
	rm -rf quickstart
	$(BIN)/fedp train --data synthetic --out quickstart/run --rounds 60 --local-epochs 2 \
	  --reptile-rounds 40 --eval-every 20
	$(BIN)/fedp export quickstart/run --out quickstart/model.tflite
	$(BIN)/fedp evaluate quickstart/model.tflite --data synthetic --report quickstart/report
	@echo "The report is at $(CURDIR)/quickstart/report/report.html"

# Stealing keeps a file's tests, and what they share, in one process until the end.
test: .venv/installed lint
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests

test-slow: .venv/installed
	$(BIN)/python -m pytest -q -m slow

# What the device's tests train, for where TensorFlow is not.
device-artifacts: build/device_artifacts/made
build/device_artifacts/made: .venv/installed tests/conftest.py
	$(BIN)/python tests/targets/device_artifacts.py build/device_artifacts
	touch $@

# The device's tests on each Python 3.10 to 3.13 here, or on PYTHONS="path path".
PYTHONS ?=
test-pythons: build/device_artifacts/made
	$(BIN)/python tests/targets/pythons.py build/device_artifacts $(PYTHONS)

# arm64 under qemu-user, without root; DEBIAN_MIRROR is an address or a folder of .debs.
test-arm64: build/device_artifacts/made
	$(BIN)/python tests/targets/arm64.py build/device_artifacts

# The page of examples/web in headless Chromium; needs Node.js 20 and npm.
test-web: .venv/installed
	$(BIN)/python -m pytest -q -s -m slow tests/examples/test_web.py

# The reports' pages in headless Chromium, likewise.
test-browser: .venv/installed
	$(BIN)/python -m pytest -q -m slow tests/browser tests/demo

# The site, in build/site; broken links and anchors fail (never with --quiet, which
# silences warnings before they count). Needs no TensorFlow.
docs: build/docs-venv/installed
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict --clean
	$(PYTHON) tests/docs/site.py build/site

build/docs-venv/installed: requirements/docs.txt
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
	  -r requirements/docs.txt
	touch $@

lint: .venv/installed
	$(BIN)/ruff check -q .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy --config-file pyproject.toml --no-error-summary -p fedp

format: .venv/installed
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format -q .

# Everything pinned and hashed; --no-deps because TFF's own pins no longer resolve.
.venv/dependencies: requirements/train.txt requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	  -r requirements/train.txt -r requirements/dev.txt
	touch $@

# The editable install links every file, so a new one needs it again.
.venv/installed: .venv/dependencies pyproject.toml $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	touch $@

# Needs uv; run it after a change to requirements/*.in.
lock:
	uv pip compile requirements/train.in $(UV_FLAGS) -o requirements/train.txt
	uv pip compile requirements/dev.in $(UV_FLAGS) -o requirements/dev.txt
	uv pip compile requirements/docs.in $(UV_FLAGS) -o requirements/docs.txt

clean:
	rm -rf .venv build quickstart *.egg-info
