# What people type. Everything is installed below this folder by the first target that needs it.

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
export CDK_DISABLE_VERSION_CHECK := true
# What is given as NAME=value goes to commands through the environment, where no shell takes it apart.
export FILE SIZE DEPLOYMENT SUBSCRIBER FROM REASON ARGUMENTS SEED MESSAGES RATE
installed := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo local test faults bench image job check access redrive docs lint types imports synth format lock clean

help: ## Show what there is to type
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: $(installed) ## Deploy into emulated accounts and send real payloads (FILE=path or SIZE=2GiB for your own)
	@exec coatcheck demo $${FILE:+--file "$$FILE"} $${SIZE:+--size "$$SIZE"} \
		$${DEPLOYMENT:+--deployment "$$DEPLOYMENT"}

local: $(installed) ## Run emulated accounts to rehearse a deployment on
	@exec coatcheck local

test: $(installed) ## Run the tests, the local world included; what takes minutes more is in check
	@python -m pytest -n 2 --dist loadfile

faults: $(installed) ## Send 10,000 messages while a fifth of all requests fail (SEED=, MESSAGES=, RATE=; writes build/faults.json)
	@exec python -m tests.faults $${SEED:+--seed "$$SEED"} $${MESSAGES:+--messages "$$MESSAGES"} $${RATE:+--rate "$$RATE"}

bench: $(installed) ## Measure the library side by side with other clients (writes build/bench.json)
	@python -m bench

image: $(installed) ## Install what the research image does and really run jobs with it (minutes, 900 MB)
	@python -m pytest tests/research -m image

job: $(installed) ## Run a research job here as SageMaker would (FILE=data, ARGUMENTS="--percent-mito 5")
	@exec coatcheck job "$$FILE" -- $$ARGUMENTS

check: lint types imports ## Everything CI checks: style, types, imports, and every test there is
	@python -m pytest -n 2 --dist loadfile -m "exhaustive or not exhaustive"

access: $(installed) ## Show who may do what in a deployment (DEPLOYMENT=file for your own)
	@coatcheck access $${DEPLOYMENT:+--deployment "$$DEPLOYMENT"}

redrive: $(installed) ## Send dead letters back (DEPLOYMENT=file, SUBSCRIBER=name, FROM=undelivered, pipeline or executions, REASON=name; coatcheck redrive --help)
	@coatcheck redrive $${DEPLOYMENT:+--deployment "$$DEPLOYMENT"} $${FROM:+--from "$$FROM"} \
		$${REASON:+--reason "$$REASON"} $${SUBSCRIBER:+--subscriber "$$SUBSCRIBER"} $$([ -n "$$SUBSCRIBER" ] || echo --publisher)

docs: $(installed) ## Write the generated documents anew
	@coatcheck access --deployment deployments/example.toml --output docs/access-matrix.md
	@python tools/deployment_reference.py

lint: $(installed) ## Style and common mistakes
	@ruff check . && ruff format --check .

types: $(installed) ## Types, strictly
	@mypy

imports: $(installed) ## Who may import whom
	@lint-imports

synth: $(installed) ## Write all templates to cdk.out, with no network and no credentials
	@rm -rf cdk.out && cdk synth --quiet $${DEPLOYMENT:+-c deployment="$$DEPLOYMENT"}

format: $(installed) ## Format the code
	@ruff check --fix-only . ; ruff format .

lock: $(installed) ## Pin the dependencies of pyproject.toml and package.json anew
	uv pip compile pyproject.toml --group local --group test --group check --generate-hashes --no-emit-index-url \
		--no-header --universal --python-version 3.11 --quiet --output-file requirements.txt
	npm install --package-lock-only

clean: ## Remove everything that was installed or built
	rm -rf .venv node_modules build cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(installed): requirements.txt package-lock.json pyproject.toml lambdas/pyproject.toml tools/install
	@tools/install
