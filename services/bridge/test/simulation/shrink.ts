import type { Verdict } from './network.ts';
import type { ConsumerPlan, Fault, ProducerPlan, Schedule } from './schedule.ts';

type Part =
  | { readonly of: 'producers'; readonly item: ProducerPlan }
  | { readonly of: 'consumers'; readonly item: ConsumerPlan }
  | { readonly of: 'faults'; readonly item: Fault };

/** Most runs that are spent on making a schedule smaller. */
const runsLargest = 400;

/**
 * Makes a failing schedule small (delta debugging): leaves out faults and applications, then connectors and clusters, then
 * messages, as long as the same invariant is broken. What is left are the parts without which it holds.
 */
export async function shrink(schedule: Schedule, run: (candidate: Schedule) => Promise<Verdict>): Promise<Schedule> {
  const shrinker = new Shrinker(schedule, run);
  return shrinker.shrink();
}

class Shrinker {
  #best: Schedule;
  readonly #run: (candidate: Schedule) => Promise<Verdict>;
  #invariant: string | undefined;
  #runs = 0;

  constructor(schedule: Schedule, run: (candidate: Schedule) => Promise<Verdict>) {
    this.#best = schedule;
    this.#run = run;
  }

  async shrink(): Promise<Schedule> {
    this.#invariant = (await this.#run(this.#best)).violations[0]?.invariant;
    if (this.#invariant === undefined) return this.#best;
    for (let before: Schedule | undefined; before !== this.#best && this.#runs < runsLargest; ) {
      before = this.#best;
      await this.#withoutParts();
      await this.#withoutConnectors();
      await this.#withoutSites();
      await this.#simpler();
    }
    return this.#best;
  }

  /** Takes the candidate when it fails in the same way. */
  async #try(candidate: Schedule): Promise<boolean> {
    if (this.#runs++ >= runsLargest) return false;
    const { violations } = await this.#run(candidate);
    const fails = violations.some(({ invariant }) => invariant === this.#invariant);
    if (fails) this.#best = candidate;
    return fails;
  }

  /** Leaves out large pieces first, then smaller ones. */
  async #withoutParts(): Promise<void> {
    let parts = partsOf(this.#best);
    for (let size = Math.ceil(parts.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < parts.length; ) {
        const rest = [...parts.slice(0, from), ...parts.slice(from + size)];
        if (await this.#try(withParts(this.#best, rest))) parts = rest;
        else from += size;
      }
    }
  }

  async #withoutConnectors(): Promise<void> {
    for (const connector of this.#best.connectors) {
      const connectors = this.#best.connectors.filter((other) => other !== connector);
      await this.#try({
        ...this.#best,
        connectors,
        faults: this.#best.faults.filter((fault) => !names(fault, connector.name)),
      });
    }
  }

  async #withoutSites(): Promise<void> {
    for (const site of this.#best.sites) {
      const { sites, connectors, producers, consumers, faults } = this.#best;
      await this.#try({
        ...this.#best,
        sites: sites.filter((other) => other !== site),
        connectors: connectors.filter(({ from, to }) => from !== site && to !== site),
        producers: producers.filter((plan) => plan.site !== site),
        consumers: consumers.filter((plan) => plan.site !== site),
        faults: faults.filter((fault) => !names(fault, site)),
      });
    }
  }

  /** Fewer messages, fewer bridges, plainer circumstances. */
  async #simpler(): Promise<void> {
    for (let i = 0; i < this.#best.producers.length; i++) {
      for (const share of [0.25, 0.5, 0.8]) {
        const producers = this.#best.producers.map((plan, j) =>
          i === j ? { ...plan, count: Math.max(1, Math.floor(plan.count * share)) } : plan,
        );
        if (producers[i]!.count < this.#best.producers[i]!.count && (await this.#try({ ...this.#best, producers })))
          break;
      }
    }
    const { replicas, lease, record, queues, weather, consumers } = this.#best;
    if (lease) await this.#try({ ...this.#best, lease: false });
    if (record) await this.#try({ ...this.#best, record: false });
    if (replicas > 1) await this.#try({ ...this.#best, replicas: 1 });
    const used = new Set([...this.#best.producers, ...consumers].map(({ queue }) => queue));
    if (used.size < queues.length)
      await this.#try({ ...this.#best, queues: queues.filter((queue) => used.has(queue)) });
    const plain = {
      latencyMs: 2,
      jitterMs: 0,
      windowBytes: 16_777_216,
      bytesPerMs: 100_000,
      brokerLatencyMs: 1,
      codec: false,
    };
    for (const [name, value] of Object.entries(plain)) {
      if (this.#best.weather[name as keyof typeof weather] !== value)
        await this.#try({ ...this.#best, weather: { ...this.#best.weather, [name]: value } });
    }
    for (const connector of this.#best.connectors) {
      if (!connector.duplex) continue;
      for (const [from, to] of [
        [connector.from, connector.to],
        [connector.to, connector.from],
      ] as const) {
        const one = { ...connector, from, to, duplex: false };
        const connectors = this.#best.connectors.map((other) => (other === connector ? one : other));
        if (await this.#try({ ...this.#best, connectors })) break;
      }
    }
    for (const consumer of consumers) {
      if (consumer.untilMs === Number.POSITIVE_INFINITY) continue;
      const stays = this.#best.consumers.map((other) =>
        other === consumer ? { ...other, untilMs: Number.POSITIVE_INFINITY } : other,
      );
      await this.#try({ ...this.#best, consumers: stays });
    }
    if (this.#best.inFlightBytes < 268_435_456) await this.#try({ ...this.#best, inFlightBytes: 268_435_456 });
    if (this.#best.prefetchSize !== 1_000) await this.#try({ ...this.#best, prefetchSize: 1_000 });
  }
}

function partsOf({ producers, consumers, faults }: Schedule): Part[] {
  return [
    ...faults.map((item): Part => ({ of: 'faults', item })),
    ...consumers.map((item): Part => ({ of: 'consumers', item })),
    ...producers.map((item): Part => ({ of: 'producers', item })),
  ];
}

function withParts(schedule: Schedule, parts: readonly Part[]): Schedule {
  return {
    ...schedule,
    producers: parts.flatMap((part) => (part.of === 'producers' ? [part.item] : [])),
    consumers: parts.flatMap((part) => (part.of === 'consumers' ? [part.item] : [])),
    faults: parts.flatMap((part) => (part.of === 'faults' ? [part.item] : [])),
  };
}

/** Whether a fault speaks of this cluster or connector. */
function names(fault: Fault, name: string): boolean {
  return Object.values(fault).some((value) => value === name || (Array.isArray(value) && value.includes(name)));
}
