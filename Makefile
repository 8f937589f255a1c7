# The first target that needs an installation installs all requirements below this folder.

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
# Values given as NAME=value go to commands through the environment, where no shell expands them. Variables of the user's
# shell with these names are not meant for this project.
values := FILE SIZE DEPLOYMENT ARGUMENTS SEED MESSAGES RATE OPTIONS
$(foreach name,$(values),$(if $(findstring environment,$(origin $(name))),$(eval $(name) :=)))
export $(values)
installed := .venv/installed
# Tools whose pins contradict the project's have environments of their own.
checkov := build/checkov/installed
site := build/site-tool/installed
# Runs a command without the user's AWS settings, proxies, and options of Python, Node and CDK.
isolated := .venv/bin/python -I local/environment.py

.DEFAULT_GOAL := help
.PHONY: help demo local job synth test check failed lint spelling types imports image faults bench docs site wheel format lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: $(installed) ## Deploy into emulated accounts and send real payloads (FILE=path or SIZE=2GiB, DEPLOYMENT=file, OPTIONS)
	@exec $(isolated) coatcheck demo $${FILE:+--file "$$FILE"} $${SIZE:+--size "$$SIZE"} $${DEPLOYMENT:+--deployment "$$DEPLOYMENT"} $$OPTIONS

local: $(installed) ## Run emulated accounts, to try a deployment locally (DEPLOYMENT=file, OPTIONS="--logs --port 4566")
	@exec $(isolated) coatcheck local $${DEPLOYMENT:+--deployment "$$DEPLOYMENT"} $$OPTIONS

job: $(installed) ## Run a research job on this machine (FILE=data, ARGUMENTS="--percent-mito 5", OPTIONS="--image pegasus --results DIR")
	@[ "$$FILE" ] || { echo "Give FILE=path: a file or a folder." >&2; exit 2; }
	@exec coatcheck job "$$FILE" $$OPTIONS -- $$ARGUMENTS

synth: $(installed) ## Write the templates to cdk.out, without network and credentials (DEPLOYMENT=file)
	$(if $(shell [ -w . ] || echo no),$(error $(CURDIR)/cdk.out cannot be written here. Write it elsewhere: . .venv/bin/activate; cdk synth --quiet --output DIR))
	@rm -rf cdk.out && $(isolated) env HOME="$(CURDIR)/build/home" cdk synth --quiet $${DEPLOYMENT:+-c deployment="$$DEPLOYMENT"}

test: $(installed) ## Run the tests, emulated accounts included, without those that take minutes
	@$(isolated) python -m pytest -n 2 --dist loadfile

check: lint spelling types imports $(checkov) ## Run all checks of CI: style, spelling, types, imports, all tests
	@$(isolated) python -m pytest -n 2 --dist loadfile -m "exhaustive or not exhaustive"

failed: $(installed) ## Run again, one after the other, the tests that failed in the last run
	@$(isolated) python -m pytest --last-failed --last-failed-no-failures none -m "exhaustive or not exhaustive"

lint: $(installed) ## Check style and common mistakes
	@$(isolated) ruff check . && $(isolated) ruff format --check .

spelling: $(installed) ## Check spelling and the project's words (tools/words.txt)
	@$(isolated) codespell

types: $(installed) ## Check types
	@$(isolated) mypy

imports: $(installed) ## Check the import contracts
	@$(isolated) lint-imports

image: $(installed) ## Install the packages of the research image and run jobs with them; build images (minutes, 900 MB)
	@python -m pytest tests/research tests/local -m image

faults: $(installed) ## Send 10,000 messages while a fifth of all requests fail (SEED, MESSAGES, RATE; writes build/faults.json)
	@exec $(isolated) python -m tests.faults $${SEED:+--seed "$$SEED"} $${MESSAGES:+--messages "$$MESSAGES"} $${RATE:+--rate "$$RATE"}

bench: $(installed) ## Measure the library side by side with other clients (OPTIONS="--size 64MiB", see docs/bench.md)
	@exec python -m bench $$OPTIONS

docs: $(installed) ## Write the generated pages: access matrix, reference of keys, commands, alarms and library, JSON schema
	@$(isolated) coatcheck access --deployment deployments/example.toml --output docs/access-matrix.md
	@$(isolated) python tools/deployment_reference.py
	@$(isolated) python tools/reference.py
	@$(isolated) coatcheck topology --deployment deployments/research-messages.toml --form svg --output docs/pictures/research-messages.svg

site: $(site) ## Build the pages as a site, build/site/docs/README.html; a link without a target is an error
	@build/site-tool/bin/sphinx-build -q -W --keep-going -c tools/site . build/site && echo build/site/docs/README.html

wheel: $(installed) ## Build the library's wheel into build/wheel
	@uv build --quiet --wheel --no-build-isolation --offline --out-dir build/wheel lambdas
	@ls build/wheel/*.whl

format: $(installed) ## Format the code
	@$(isolated) ruff check --fix-only . ; $(isolated) ruff format .

lock: $(installed) ## Pin the dependencies of pyproject.toml and package.json again
	uv pip compile pyproject.toml --group local --group test --group check --generate-hashes --no-emit-index-url \
		--no-header --universal --python-version 3.11 --quiet --output-file requirements.txt
	for tool in checkov site-tool; do uv pip compile tools/$$tool.in --generate-hashes --no-emit-index-url --no-header \
		--universal --python-version 3.11 --quiet --output-file tools/$$tool.txt; done
	npm install --package-lock-only

clean: ## Remove everything that was installed or built
	rm -rf .venv node_modules build cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

build/%/installed: tools/%.txt $(installed)
	@rm -rf build/$* && uv venv --quiet --python .venv/bin/python build/$*
	@uv pip sync --quiet --require-hashes --python build/$*/bin/python tools/$*.txt
	@touch $@

$(installed): requirements.txt package-lock.json pyproject.toml lambdas/pyproject.toml tools/install
	@tools/install
