import { identityOf } from '@tombolo/wire/identity';
import type { Bridge } from '../../src/bridge.ts';
import type { Judge } from './judge.ts';
import type { LinkNetwork } from './link-network.ts';
import { keyOf } from './message.ts';
import type { Fault, Schedule } from './schedule.ts';
import type { Site } from './site.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Another fault as near as this may keep bridges from telling each other what is in doubt. */
const nearMs = 15_000;

/** Makes a schedule's faults happen, and says what they excuse. */
export class Faults {
  readonly #schedule: Schedule;
  readonly #clock: VirtualClock;
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #links: LinkNetwork;
  readonly #judge: Judge;
  /** Sites that are drained, or about to be, or about to be so no more. */
  readonly #operated = new Set<Site>();

  constructor(
    schedule: Schedule,
    clock: VirtualClock,
    sites: ReadonlyMap<string, Site>,
    links: LinkNetwork,
    judge: Judge,
  ) {
    this.#schedule = schedule;
    this.#clock = clock;
    this.#sites = sites;
    this.#links = links;
    this.#judge = judge;
  }

  start(): void {
    for (const fault of this.#schedule.faults) {
      this.#clock.wake(fault.atMs, () => {
        const end = this.#begin(fault);
        this.#clock.after(fault.forMs, end);
      });
    }
  }

  /** Returns how to end it. */
  #begin(fault: Fault): () => void {
    switch (fault.is) {
      case 'bridge-crash': {
        const site = this.#site(fault.site);
        const company = this.#company(fault);
        // With a store that is up, what was published and is not recorded as confirmed, and nothing else of what is under way.
        this.#excuse(site, company, this.#schedule.record && !company ? site.unrecorded(fault.replica) : undefined);
        site.crashBridge(fault.replica);
        return () => site.startBridge(fault.replica);
      }
      case 'bridge-restart': {
        const site = this.#site(fault.site);
        if (this.#company(fault)) this.#excuse(site, true);
        site.stopBridge(fault.replica).then(
          () => {},
          (thrown: unknown) => this.#judge.report('no exception', `stop: ${String(thrown)}`),
        );
        return () => this.#startOnceStopped(site, fault.replica);
      }
      case 'bridge-pause': {
        const site = this.#site(fault.site);
        this.#excuse(site, this.#company(fault));
        return site.pauseBridge(fault.replica);
      }
      case 'rolling-restart':
        this.#roll(this.#site(fault.site), 0);
        return () => {};
      case 'cluster-drain': {
        const site = this.#site(fault.site);
        // One operator at a time.
        if (this.#operated.has(site)) return () => {};
        this.#operated.add(site);
        let over = false;
        const drained = this.#operate(site, async (bridge) => {
          if (over) return;
          await bridge.drain('cluster');
          site.drained = !over;
        });
        return () => {
          over = true;
          site.drained = false;
          void drained
            .then(() => this.#operate(site, (bridge) => bridge.undrain('cluster')))
            .then(() => this.#operated.delete(site));
        };
      }
      case 'broker-crash': {
        const site = this.#site(fault.site);
        this.#excuse(site, this.#company(fault));
        this.#judge.allowDuplicates(fault.forgets * site.server.queues.size + this.#unnamed(site));
        site.crashBroker(fault.forgets);
        return () => site.restartBroker();
      }
      case 'broker-cut': {
        const site = this.#site(fault.site);
        this.#excuse(site, this.#company(fault));
        site.cutBroker();
        return () => {};
      }
      case 'broker-slow':
        return this.#site(fault.site).slow(fault.latencyMs);
      case 'alarm': {
        const site = this.#site(fault.site);
        site.alarm(true);
        return () => site.alarm(false);
      }
      case 'store-away':
        return this.#storeAway(this.#site(fault.site));
      case 'store-forgets':
        this.#site(fault.site).leases.forget();
        this.#site(fault.site).records.forget(true);
        return () => {};
      case 'store-unheard':
        return this.#site(fault.site).leases.unheard(fault.replica);
      case 'link-cut':
        this.#links.cut(...fault.between);
        return () => {};
      case 'link-freeze':
        this.#links.freeze(...fault.between, fault.forMs);
        return () => {};
      case 'link-slow':
        return this.#links.slow(...fault.between, fault.latencyMs);
      case 'partition':
        return this.#links.partition(fault.sites);
      case 'pause': {
        const site = this.#site(fault.site);
        for (const bridge of site.bridges) bridge.pause(fault.connector);
        return () => {
          for (const bridge of site.bridges) bridge.resume(fault.connector);
        };
      }
      case 'queue-away': {
        const site = this.#site(fault.site);
        this.#excuse(site, this.#company(fault));
        this.#judge.forgive(this.#messagesAt(site, fault.queue));
        site.deleteQueue(fault.queue);
        return () => site.declareQueue(fault.queue);
      }
      default:
        throw new Error(`unexpected ${fault satisfies never}`);
    }
  }

  /** A master that loses its lease settles what is under way; where links are broken too it cannot. */
  resigned(site: Site): void {
    const now = this.#clock.now();
    const hindered = this.#schedule.faults.some(
      ({ is, atMs, forMs }) => !is.startsWith('store-') && atMs < now + nearMs && now < atMs + forMs + nearMs,
    );
    if (hindered) this.#excuse(site, true);
  }

  /** Asks the master, once there is one; again when it could not, or went without an answer. Resolves when it could. */
  #operate(site: Site, act: (bridge: Bridge) => Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const attempt = (): void => {
        const master = site.bridges.find((bridge) => bridge.view().role === 'master');
        let state: 'asked' | 'done' | 'failed' = master ? 'asked' : 'failed';
        const look = (): void => {
          if (state === 'failed' || (state === 'asked' && !site.bridges.includes(master!))) attempt();
          else if (state === 'asked') this.#clock.after(100, look);
        };
        this.#clock.after(100, look);
        if (!master) return;
        act(master).then(
          () => {
            state = 'done';
            resolve();
          },
          () => {
            state = 'failed';
          },
        );
      };
      attempt();
    });
  }

  /** As operators do it: the next one once the bridges are all there, and one of them works. */
  #roll(site: Site, replica: number): void {
    if (replica >= this.#schedule.replicas) return;
    const whole = site.bridges.length === this.#schedule.replicas && !site.stopping;
    const ready = site.bridges.every((bridge) => bridge.view().broker.up) && site.masters.length === 1;
    if (!whole || !ready) {
      this.#clock.after(100, () => this.#roll(site, replica));
      return;
    }
    site.stopBridge(replica).then(
      () => {
        site.startBridge(replica);
        this.#roll(site, replica + 1);
      },
      (thrown: unknown) => this.#judge.report('no exception', `stop: ${String(thrown)}`),
    );
  }

  #startOnceStopped(site: Site, replica: number): void {
    if (site.isStopping(replica)) this.#clock.after(100, () => this.#startOnceStopped(site, replica));
    else site.startBridge(replica);
  }

  #site(name: string): Site {
    return this.#sites.get(name)!;
  }

  /**
   * The windows in which a message may be doubled: what is under way to a sink that dies, and what a source that dies has sent,
   * if a local consumer may be handed it first or other faults keep peers from telling what they have of it.
   * @param underWay of the first, how many there are, where that is known better
   */
  #excuse(site: Site, company: boolean, underWay?: number): void {
    this.#judge.died(site.name);
    let allowed = underWay ?? 0;
    for (const other of underWay === undefined ? this.#sites.values() : []) {
      for (const bridge of other.bridges) {
        for (const { role, peer, unsettled } of bridge.view().streams)
          if (role === 'source' && peer === site.name) allowed += unsettled;
      }
    }
    for (const [name, queue] of site.server.queues) {
      if (company || this.#hasLocalConsumer(site.name, name)) allowed += queue.unacknowledged.length;
    }
    this.#judge.allowDuplicates(allowed);
  }

  #storeAway(site: Site): () => void {
    const ends = [site.leases.away(), site.records.away()];
    return () => {
      for (const end of ends) end();
    };
  }

  /** Acknowledgements that a broker's crash undoes: those messages come back among others that are flagged like them. */
  #unnamed(site: Site): number {
    let count = 0;
    for (const { unacknowledged } of site.server.queues.values())
      count += unacknowledged.filter((message) => !identityOf(message).hasId).length;
    return count;
  }

  #hasLocalConsumer(site: string, queue: string): boolean {
    return this.#schedule.consumers.some((plan) => plan.site === site && plan.queue === queue);
  }

  /** Other faults are near. */
  #company(fault: Fault): boolean {
    return this.#schedule.faults.some(
      (other) =>
        other !== fault &&
        other.atMs < fault.atMs + fault.forMs + nearMs &&
        fault.atMs < other.atMs + other.forMs + nearMs,
    );
  }

  #messagesAt(site: Site, name: string): string[] {
    const queue = site.server.queues.get(name);
    if (!queue) return [];
    return [...queue.ready, ...queue.unacknowledged].map(({ body }) => keyOf(body));
  }
}
