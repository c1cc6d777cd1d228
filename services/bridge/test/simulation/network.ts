import { createLog, type Log } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { Redactor } from '../../src/telemetry/redactor.ts';
import { ConsumerApplication, ProducerApplication } from './application.ts';
import { Chance } from './chance.ts';
import type { Tamper } from './connection.ts';
import { Faults } from './faults.ts';
import { Judge, stuckQueues, type Tally, type Violation, type Whereabouts } from './judge.ts';
import { LinkNetwork } from './link-network.ts';
import { keyOf } from './message.ts';
import { Reach, topologyOf } from './reach.ts';
import { quietFrom, type Schedule } from './schedule.ts';
import { type Sabotage, Site } from './site.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface NetworkOptions {
  /** Breaks something on purpose. */
  readonly tamper?: Tamper;
  readonly sabotage?: Sabotage;
  /** Is told each line that bridges log. */
  readonly trace?: (atMs: number, line: string) => void;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly tally: Tally;
  readonly events: number;
  readonly virtualMs: number;
  readonly hoard: number;
}

/** Promises settle between two events: how many turns they get. Deeper chains go on after the next event, as in life. */
const turns = 8;
/** How often the judge looks around. */
const lookMs = 100;
/** After the last fault, when nothing moves for so long although something could, it is stuck. */
const patienceMs = 45_000;
const eventsLargest = 3_000_000;

const silent = createLog({ level: 'silent', redactor: new Redactor([]) });
const noMetrics = new Metrics({
  network: 'simulated',
  cluster: 'any',
  version: 'simulated',
  peers: [],
  process: false,
});

/** A whole network in one process under one clock: the real bridges, brokers in memory, links of chance. */
export class Network {
  readonly #schedule: Schedule;
  readonly #clock = new VirtualClock();
  readonly #sites = new Map<string, Site>();
  readonly #judge: Judge;
  readonly #reach: Reach;
  readonly #producers: ProducerApplication[];
  readonly #consumers: ConsumerApplication[];
  readonly #faults: Faults;
  #events = 0;

  constructor(schedule: Schedule, options: NetworkOptions = {}) {
    const { seed, weather, sites, replicas, queues, producers, consumers } = schedule;
    this.#schedule = schedule;
    const topology = topologyOf(schedule);
    this.#reach = new Reach(topology);
    const links = new LinkNetwork(this.#clock, new Chance(seed).branch('links'), weather, options.tamper);
    this.#judge = new Judge(schedule, this.#clock, this.#sites);
    const around = {
      ...{
        clock: this.#clock,
        topology,
        links,
        metrics: noMetrics,
        log: this.#log(options.trace),
        lease: schedule.lease,
        record: schedule.record,
        resigned: (site: Site) => this.#faults.resigned(site),
      },
      ...(options.sabotage && { sabotage: options.sabotage }),
      arrived: (site: string, queue: string, body: Uint8Array) => {
        if (queues.includes(queue)) this.#judge.arrived(site, queue, keyOf(body));
      },
    };
    for (const name of sites) {
      const site = new Site(name, replicas, weather.brokerLatencyMs, around);
      for (const queue of queues) site.server.declare(queue);
      this.#sites.set(name, site);
    }
    const site = (name: string): Site => this.#sites.get(name)!;
    this.#producers = producers.map((plan) => new ProducerApplication(plan, site(plan.site), this.#clock, this.#judge));
    this.#consumers = consumers.map((plan) => new ConsumerApplication(plan, site(plan.site), this.#clock, this.#judge));
    this.#faults = new Faults(schedule, this.#clock, this.#sites, links, this.#judge);
  }

  /** Runs until everything is where it belongs, or is not and will not be. */
  async run(): Promise<Verdict> {
    for (const site of this.#sites.values()) {
      for (let replica = 0; replica < this.#schedule.replicas; replica++) site.startBridge(replica);
    }
    for (const application of [...this.#producers, ...this.#consumers]) application.start();
    this.#faults.start();
    const quiet = quietFrom(this.#schedule);
    this.#judge.progressAt = 0;
    for (let look = lookMs; ; look += lookMs) {
      if (!(await this.#runUntil(look))) break;
      this.#judgeMemory();
      if (this.#schedule.lease) this.#judgeMasters();
      this.#judgeCounts();
      if (look < quiet) continue;
      if (this.#atRest()) break;
      if (look > Math.max(quiet, this.#judge.progressAt) + patienceMs) {
        this.#reportStuck();
        break;
      }
    }
    const tally = this.#judge.conclude(this.#present());
    const { violations, hoard } = this.#judge;
    return { violations, tally, events: this.#events, virtualMs: this.#clock.now(), hoard };
  }

  /** False: it must not go on. */
  async #runUntil(at: number): Promise<boolean> {
    while (this.#clock.nextAt <= at) {
      try {
        this.#clock.step();
      } catch (thrown) {
        this.#judge.report('no exception', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
        return false;
      }
      for (let turn = 0; turn < turns; turn++) await undefined;
      if (++this.#events > eventsLargest) {
        this.#judge.report('an end', `${eventsLargest} events and no end`);
        return false;
      }
    }
    this.#clock.skipTo(at);
    return true;
  }

  // ---- what the judge looks at -------------------------------------------------------------------------------------------------

  #idle(): { site: string; queue: string }[] {
    return this.#consumers.filter((consumer) => consumer.idle).map(({ plan }) => plan);
  }

  /** Everything was published, nobody could be served better, nobody is at work, and no bridge holds anything. */
  #atRest(): boolean {
    return (
      this.#producers.every((producer) => producer.done) &&
      this.#consumers.every((consumer) => consumer.held.length === 0) &&
      stuckQueues(this.#sites, this.#idle(), this.#reach).length === 0 &&
      this.#unsettled().length === 0
    );
  }

  /** What bridges hold: streams with messages that are not settled, and deliveries that are not acknowledged. */
  #unsettled(): string[] {
    const found: string[] = [];
    for (const site of this.#sites.values()) {
      for (const bridge of site.bridges) {
        for (const { role, peer, destination, unsettled, blockedBy, state } of bridge.view().streams) {
          if (unsettled === 0) continue;
          const way = role === 'source' ? `${site.name} -> ${peer}` : `${peer} -> ${site.name}`;
          found.push(
            `${role} of ${destination} ${way}: ${unsettled} unsettled, ${state}, ${blockedBy ?? 'not blocked'}`,
          );
        }
      }
      for (const [name, queue] of site.server.queues) {
        const local = queue.consumers.filter(({ isBridge }) => !isBridge).reduce((sum, { held }) => sum + held.size, 0);
        const held = queue.unacknowledged.length - local;
        if (held > 0) found.push(`${held} of ${name} on ${site.name} are not acknowledged`);
      }
    }
    return found;
  }

  #reportStuck(): void {
    const stuck = stuckQueues(this.#sites, this.#idle(), this.#reach);
    for (const { queue, at, ready, idleAt } of stuck) {
      const text = `${ready} messages wait in ${queue} on ${at}, a consumer on ${idleAt} could take one: ${this.#why(queue)}`;
      this.#judge.report('nothing is stuck', text);
    }
    for (const text of this.#unsettled()) this.#judge.report('the books agree', text);
    if (!this.#producers.every((producer) => producer.done)) this.#judge.report('an end', 'a producer cannot publish');
  }

  /** What the bridges say of a queue. */
  #why(queue: string): string {
    const said: string[] = [];
    for (const site of this.#sites.values()) {
      for (const bridge of site.bridges) {
        const { role, streams, demand } = bridge.view();
        said.push(`${site.name} is ${role}`);
        for (const stream of streams) {
          if (stream.destination !== queue) continue;
          const { role: end, peer, state, granted, last, window, blockedBy } = stream;
          said.push(`${site.name} ${end} ${peer} ${state} ${granted}/${last} window ${window} ${blockedBy ?? ''}`);
        }
        for (const { destination, cluster, unserved, detail } of demand)
          if (destination === queue)
            said.push(`${site.name} knows demand of ${cluster} ${unserved ?? ''} ${detail ?? ''}`);
      }
    }
    return said.join(' | ');
  }

  #judgeMasters(): void {
    for (const { name, masters } of this.#sites.values()) {
      if (masters.length > 1) this.#judge.report('one master', `${masters.join(' and ')} serve ${name}`);
    }
  }

  #judgeMemory(): void {
    const { inFlightBytes, producers } = this.#schedule;
    const largest = Math.max(0, ...producers.map(({ bodyBytes }) => bodyBytes)) + 600;
    for (const site of this.#sites.values()) {
      for (const bridge of site.bridges) {
        const { streams } = bridge.view();
        for (const role of ['source', 'sink'] as const) {
          const own = streams.filter((stream) => stream.role === role);
          const bytes = own.reduce((sum, { unsettledBytes }) => sum + unsettledBytes, 0);
          // A stream that has seen no message yet does not know how much its first few will weigh.
          const bound = inFlightBytes + own.length * 4 * largest;
          if (bytes > bound)
            this.#judge.report('bounded memory', `${site.name} holds ${bytes} B as ${role}, not ${bound}`);
        }
      }
    }
  }

  /** What the ends of streams have compared must never differ: neither for a moment, nor at the end. */
  #judgeCounts(): void {
    for (const site of this.#sites.values()) {
      for (const bridge of site.bridges) {
        for (const { role, peer, destination, lost, doubled } of bridge.view().differences) {
          const text = `${site.name} as ${role} of ${destination} with ${peer}: ${lost} lost, ${doubled} doubled`;
          this.#judge.report('both ends count alike', text);
        }
      }
    }
  }

  #present(): Whereabouts[] {
    const found: Whereabouts[] = [];
    for (const { name: site, server } of this.#sites.values()) {
      for (const [queue, { ready, unacknowledged }] of server.queues) {
        for (const { body } of [...ready, ...unacknowledged]) found.push({ key: keyOf(body), site, queue });
      }
    }
    return found;
  }

  #log(trace: NetworkOptions['trace']): Log {
    if (!trace) return silent;
    const destination = { write: (line: string) => trace(this.#clock.now(), line) };
    return createLog({ level: 'debug', redactor: new Redactor([]), destination });
  }
}
