import type { Chance } from './chance.ts';
import { type Conditions, Connection, type Tamper } from './connection.ts';
import type { Weather } from './schedule.ts';
import type { SimulatedLinks } from './simulated-links.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Two clusters that connectors join: which connection there is, and what is wrong between them. */
interface Pair {
  readonly dialler: string;
  readonly listener: string;
  readonly chance: Chance;
  connection: Connection | undefined;
  slowMs: number[];
  partitions: number;
  dialling: boolean;
  attempts: number;
}

const retryMs = [40, 200, 400, 800, 1_600, 2_000] as const;

/** Everything between the bridges: who can reach whom, how long it takes, and what breaks. */
export class LinkNetwork {
  readonly #clock: VirtualClock;
  readonly #chance: Chance;
  readonly #weather: Weather;
  readonly #tamper: Tamper | undefined;
  readonly #members = new Set<SimulatedLinks>();
  readonly #pairs = new Map<string, Pair>();

  constructor(clock: VirtualClock, chance: Chance, weather: Weather, tamper?: Tamper) {
    this.#clock = clock;
    this.#chance = chance;
    this.#weather = weather;
    this.#tamper = tamper;
  }

  // ---- the bridges' side -----------------------------------------------------------------------------------------------------

  join(links: SimulatedLinks): void {
    this.#members.add(links);
    this.wanted(links);
  }

  leave(links: SimulatedLinks): void {
    this.#members.delete(links);
  }

  /** Links of this bridge are wanted: whoever dials tries at once. */
  wanted(links: SimulatedLinks): void {
    for (const peer of links.peers()) {
      const pair = this.#pair(links.cluster, peer);
      pair.attempts = 0;
      this.#dialLater(pair);
    }
  }

  /** How long it takes to notice that a process at the other end has died. */
  noticeMs(): number {
    return this.#weather.latencyMs + this.#chance.next() * 20;
  }

  closeLater(connection: Connection, reason: string, afterMs: number): void {
    this.#clock.after(afterMs, () => connection.break(reason, () => this.#weather.latencyMs));
  }

  // ---- faults ----------------------------------------------------------------------------------------------------------------

  /** The connection breaks; both ends find out soon. */
  cut(a: string, b: string): void {
    const pair = this.#pair(a, b);
    pair.connection?.break('cut', () => pair.chance.between(0, 60));
  }

  /** What `from` sends vanishes, until silence makes both ends give up. */
  freeze(from: string, to: string, forMs: number): void {
    const pair = this.#pair(from, to);
    const { connection } = pair;
    if (!connection) return;
    connection.swallow(from);
    this.#clock.after(forMs, () => connection.break('silence', () => pair.chance.between(0, 30)));
  }

  /** For a while everything takes longer. Returns how to end it. */
  slow(a: string, b: string, latencyMs: number): () => void {
    const pair = this.#pair(a, b);
    pair.slowMs.push(latencyMs);
    return () => pair.slowMs.splice(pair.slowMs.indexOf(latencyMs), 1);
  }

  /** These sites and the others do not reach each other, and find out by silence. Returns how to end it. */
  partition(sites: readonly string[]): () => void {
    const crossing = [...this.#pairs.values()].filter(
      ({ dialler, listener }) => sites.includes(dialler) !== sites.includes(listener),
    );
    for (const pair of crossing) {
      pair.partitions++;
      pair.connection?.break('partition', () => pair.chance.between(500, 3_000));
    }
    return () => {
      for (const pair of crossing) {
        pair.partitions--;
        pair.attempts = 0;
      }
    };
  }

  // ---- dialling --------------------------------------------------------------------------------------------------------------

  #pair(a: string, b: string): Pair {
    const [dialler, listener] = a < b ? [a, b] : [b, a];
    const key = `${dialler} ${listener}`;
    let pair = this.#pairs.get(key);
    if (!pair) {
      const chance = this.#chance.branch(key);
      pair = {
        dialler,
        listener,
        chance,
        connection: undefined,
        slowMs: [],
        partitions: 0,
        dialling: false,
        attempts: 0,
      };
      this.#pairs.set(key, pair);
    }
    return pair;
  }

  #conditions(pair: Pair): Conditions {
    const { latencyMs, jitterMs, windowBytes, bytesPerMs, codec } = this.#weather;
    return { latencyMs: Math.max(latencyMs, ...pair.slowMs), jitterMs, windowBytes, bytesPerMs, codec };
  }

  #dialLater(pair: Pair): void {
    if (pair.dialling) return;
    pair.dialling = true;
    const delay = retryMs[Math.min(pair.attempts++, retryMs.length - 1)]!;
    this.#clock.after(delay * pair.chance.between(0.5, 1), () => this.#dial(pair));
  }

  /** The handshake: three messages until the listener counts the link as up, one more until the dialler does. */
  #dial(pair: Pair): void {
    const [dialler, listener] = this.#both(pair);
    const again = () => {
      pair.dialling = false;
      this.#dialLater(pair);
    };
    if (!dialler) {
      pair.dialling = false; // it asks again when it is there
      return;
    }
    if (dialler.isUp(pair.listener)) {
      pair.dialling = false;
      return;
    }
    if (!listener || pair.partitions > 0) return again();
    const { latencyMs } = this.#conditions(pair);
    this.#clock.after(3 * latencyMs, () => {
      const [one, two] = this.#both(pair);
      if (one !== dialler || two !== listener || pair.partitions > 0) return again();
      const [own, theirs] = [dialler.host.incarnation(), listener.host.incarnation()];
      if (listener.met(dialler.cluster) > own || dialler.met(listener.cluster) > theirs) {
        if (listener.met(dialler.cluster) > own)
          dialler.host.onPeerSawIncarnation(listener.cluster, listener.met(dialler.cluster));
        if (dialler.met(listener.cluster) > theirs)
          listener.host.onPeerSawIncarnation(dialler.cluster, dialler.met(listener.cluster));
        return again();
      }
      pair.connection?.break('replaced', () => pair.chance.between(0, 20));
      const conditions = () => this.#conditions(pair);
      const ends = [pair.dialler, pair.listener] as const;
      const connection = new Connection(ends, this.#clock, pair.chance, conditions, this.#tamper);
      pair.connection = connection;
      connection.readyAt(dialler.cluster, this.#clock.now() + latencyMs);
      this.#clock.after(latencyMs, () => {
        pair.dialling = false;
        pair.attempts = 0;
        if (!connection.broken && dialler.accepts) dialler.adopt(listener.cluster, theirs, connection);
        else {
          connection.break('the dialler is gone', () => latencyMs);
          this.#dialLater(pair);
        }
      });
      listener.adopt(dialler.cluster, own, connection);
    });
  }

  #both(pair: Pair): [SimulatedLinks | undefined, SimulatedLinks | undefined] {
    const master = (cluster: string) => [...this.#members].find((links) => links.cluster === cluster && links.accepts);
    return [master(pair.dialler), master(pair.listener)];
  }
}
