# make quickstart   install, and run the whole loop on the embedded scenario
# make test         install with the developers' tools, and pass every check and test
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: quickstart test lint bench bench-reward bench-peers base-policy assistant debian clean

quickstart: $(INSTALLED)
	$(BIN)/trueline quickstart

# By file, in the files' order: sorted by the number of tests, the few long ones would be left for one process at the end.
test: $(INSTALLED_DEV) debian lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED_DEV)
	$(BIN)/python benchmarks/run.py

# Reward models on real sets; TRUELINE_ENCODER is a Hugging Face encoder's folder, for the sets that need one.
bench-reward: $(INSTALLED_DEV)
	$(BIN)/python benchmarks/reward_bars.py

# TRL beside us in the benchmarks, in environments of its own; PPO left TRL after 1.12.
bench-peers: .venv-trl/.installed .venv-trl-ppo/.installed

.venv-trl/.installed: benchmarks/peers/requirements.txt
.venv-trl-ppo/.installed: benchmarks/peers/requirements-ppo.txt
.venv-trl/.installed .venv-trl-ppo/.installed:
	test -d $(@D) || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet torch==2.13.0
	$(@D)/bin/pip install --quiet --requirement $<
	touch $@

# Rebuilds the policy that ships with the customer-service scenario: about ten minutes on two cores.
base-policy: $(INSTALLED)
	$(BIN)/python -m trueline.scenarios.customer_service.build

# The example on real input; DATA is a folder with sgd_assistant, helpdesk, diasafety and hh_harmless.
assistant: $(INSTALLED)
	$(BIN)/python examples/assistant/run.py --data $(DATA)

# torch comes first and by itself: left to a dependency, pip takes a build with gigabytes of CUDA.
$(INSTALLED): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Where this runs as root on Debian, the tests bring their browser and database; elsewhere those that need them skip and
# say so.
debian:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=; \
	  command -v chromium >/dev/null || missing="$$missing chromium"; \
	  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	  if [ -n "$$missing" ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi; fi

clean:
	rm -rf $(VENV) .venv-trl .venv-trl-ppo build dist quickstart .pytest_cache .mypy_cache .ruff_cache
