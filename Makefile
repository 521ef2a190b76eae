# The two commands of the README are demo and test; each does its own set-up. CONTRIBUTING.md says what the others are for.
.PHONY: demo test endurance check bench dev clients wheels deb apt container image lock queries release clean
.DEFAULT_GOAL := demo

BIN := .venv/bin
CLIENTS := .venv-clients
STAMP := .venv/.made-from
# Workers of `make test`, one more than cores, since tests wait for programs; WORKERS=0 runs all tests in one process.
WORKERS ?= $(shell expr $$(nproc) + 1)
# Tests start hundreds of programs, each of which would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := requirements-dev.txt packaging/dev.constraints common/pyproject.toml agent/pyproject.toml aggregator/pyproject.toml

demo: dev
	@sh tests/landscape/setup.sh demo
	@PYTHONPATH=tests $(BIN)/python -m landscape.demo

test: dev clients
	@sh tests/landscape/setup.sh test
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadscope --durations=10 $(ARGS)

# The tests of which `make test` runs a sample, in full; each may take up to an hour.
endurance: dev clients
	@sh tests/landscape/setup.sh test
	WHENCE_ENDURANCE=1 $(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadscope --durations=10 -m endurance $(ARGS)

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python packaging/queries.py --check
	$(BIN)/mypy -p whence_common -p whence_agent -p whence_aggregator
	$(BIN)/mypy tests packaging
	$(BIN)/lint-imports

bench: dev
	@sh tests/landscape/setup.sh bench
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.run $(ARGS)

dev: $(STAMP)

$(STAMP): $(SOURCES)
	@sh tests/landscape/setup.sh dev
	@test -x $(BIN)/python || python3 -m venv .venv
	@echo "installing the three distributions and the tools into .venv (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c packaging/dev.constraints \
		-e ./common -e ./agent -e './aggregator[postgres]' -r requirements-dev.txt
	@touch $(STAMP)

# Other people's clients, which the tests run as they are, in an environment of their own.
clients: $(CLIENTS)/.made-from

$(CLIENTS)/.made-from: tests/clients/requirements.txt tests/clients/kio-with-versions.txt tests/clients/package.json tests/clients/package-lock.json
	@sh tests/landscape/setup.sh clients
	@test -x $(CLIENTS)/bin/python || python3 -m venv $(CLIENTS)
	@echo "installing other people's registry clients into $(CLIENTS) (half a minute)"
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/clients/requirements.txt
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(CLIENTS)/kio-with-versions -r tests/clients/kio-with-versions.txt
	@$(CLIENTS)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary python-dxf \
		--dest $(CLIENTS)/src $$(grep '^python-dxf==' tests/clients/requirements.txt)
	@cp tests/clients/package.json tests/clients/package-lock.json $(CLIENTS)/
	@cd $(CLIENTS) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@find $(CLIENTS)/node_modules/@octokit/openapi/generated -type f ! -name api.github.com.json -delete
	@tar -xzf $(CLIENTS)/src/python_dxf-*.tar.gz -C $(CLIENTS)/src
	@touch $@

wheels: dev
	@rm -f dist/whence_*.whl
	@SOURCE_DATE_EPOCH=$$($(BIN)/python packaging/deb/epoch.py) && export SOURCE_DATE_EPOCH && \
	for part in common agent aggregator; do $(BIN)/python -m build --wheel --outdir dist $$part >/dev/null || exit 1; done
	@ls dist/*.whl

# ARGS="--python 3.13 --architecture arm64" builds for Debian 13 on 64-bit Arm.
deb: wheels
	$(BIN)/python packaging/deb/build.py --wheels dist --out dist/packages $(ARGS)

# A repository of all that `make deb` has built: KEY is the fingerprint of the key that signs it.
apt: dev
	$(BIN)/python packaging/deb/repository.py --packages dist/packages --out dist/apt $(if $(KEY),--key $(KEY)) $(ARGS)

# ARGS has --settings at least: packaging/ami/README.md.
image: deb
	@sh tests/landscape/setup.sh image
	$(BIN)/python packaging/ami/image.py --package dist/packages/whence-agent_*+deb12_$$(dpkg --print-architecture).deb \
		--git . --version $$(git log -1 --format=%cd --date=format:%Y%m%d-%H%M%S) $(ARGS)

# KEY is the release's private key; ARGS are passed on.
release: dev
	PYTHONPATH=packaging/deb:packaging/ami $(BIN)/python packaging/release/release.py --key "$(KEY)" $(ARGS)

# Images for packaging/container/compose.yaml, from bases that its README makes.
VERSION = $(shell $(BIN)/python packaging/release/version.py)
BASE ?= whence-base
DATABASE_BASE ?= whence-database-base
PROXY_BASE ?= whence-proxy-base
IMAGE := $(BIN)/python packaging/container/build.py $(if $(SOURCE),--source $(SOURCE))

container: wheels
	$(IMAGE) aggregator --base $(BASE) --tag whence-aggregator:$(VERSION)
	$(IMAGE) database --base $(DATABASE_BASE) --tag whence-database:$(VERSION)
	$(IMAGE) proxy --base $(PROXY_BASE) --tag whence-proxy:$(VERSION)

lock: dev
	$(BIN)/python packaging/lock.py

queries: dev
	$(BIN)/python packaging/queries.py

clean:
	rm -rf .venv $(CLIENTS) .venv-peers dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
