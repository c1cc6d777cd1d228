# Each target works as the only command on a fresh Debian machine with Node.js 20.19 or newer.
.PHONY: setup build check test faults sim sim-cost bench bench-quick demo demo-activemq chart clean
.DEFAULT_GOAL := build

setup: ## what is missing: Debian's RabbitMQ and Redis, node modules, the build
	@infra/tools/setup.sh

build: setup

check: setup ## format, lint, the rules of who may import whom, types
	npm run --silent check

test: setup ## every test, real brokers included
	@infra/tools/test.sh

faults: ## what real faults lose, double and delay, as the table in services/bridge/README.md; ROWS='killed|paused': only these
	@infra/tools/setup.sh libfaketime
	@TOMBOLO_FAULTS='$(ROWS)' infra/tools/scratch.sh npx vitest run --project faults --disable-console-intercept

sim: setup ## the simulation with many more seeds than in `make test`
	TOMBOLO_SEEDS=$${TOMBOLO_SEEDS:-1000} npx vitest run --project parts \
		--fileParallelism --maxWorkers=2 services/bridge/test/simulation

sim-cost: setup ## what routing costs in large networks, as the table in services/bridge/README.md: half an hour, 12 GB of memory
	TOMBOLO_COST=all NODE_OPTIONS=--max-old-space-size=16384 \
	  npx vitest run services/bridge/test/simulation/routing/cost.test.ts --disable-console-intercept

bench: setup ## Tombolo beside federation, shovel and others on real brokers, an hour; ROWS=backlog,live measures a part
	@npx tsc -b services/bridge/test/bench
	@infra/tools/scratch.sh node .cache/bench/main.js

bench-quick: setup ## two minutes: are the ratios those that are committed? KEEP=1 commits to those measured now
	@npx tsc -b services/bridge/test/bench
	@infra/tools/scratch.sh node .cache/bench/main.js quick

demo: setup ## two brokers, two bridges, and messages that cross on demand; KEEP=1 stays up until Ctrl-C
	@infra/tools/scratch.sh --keep-on-failure node infra/demo/demo.mjs

demo-activemq: setup ## the same with an ActiveMQ and a RabbitMQ, messages crossing both ways
	@infra/tools/scratch.sh --keep-on-failure node infra/demo/activemq.mjs

chart: setup ## the Helm chart: its schema brought up to date, linted, rendered with Helm 3 and Helm 4, packed into .cache/chart
	@infra/tools/chart.sh

clean: ## what was built, and the node modules
	rm -rf node_modules .cache coverage shared/*/dist services/*/dist
