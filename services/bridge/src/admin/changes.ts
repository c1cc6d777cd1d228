import type { Log } from '../telemetry/log.ts';
import type { BridgeView } from './view.ts';

/**
 * Tells the log what an operator would want to have been told, once for each change: the broker coming and going, and the
 * role. The links speak for themselves. A cause that comes again while the same outage lasts is not said again.
 */
export class Changes {
  readonly #log: Log;
  /** By what it is about: the latest state, and the reasons given since. */
  readonly #said = new Map<string, { readonly state: string; readonly reasons: Set<string | undefined> }>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Compares the view with what was said before.
   * @param lasting it is not the moment of a change: who has just connected is a standby until it holds the lock, which is no news
   */
  notice(view: BridgeView, lasting: boolean): void {
    const { broker } = view;
    // Why it is not connected is known once an attempt has failed; one that stops is not trying on.
    const known = broker.up || (broker.reason !== undefined && !view.draining);
    // At another node: it may have gone there faster than one can look.
    const state = broker.up ? `up ${broker.address}` : 'down';
    if (known && this.#isNews('broker', state, broker.up ? undefined : broker.reason)) {
      const { address, product, reason } = broker;
      if (broker.up) this.#log.info({ address, product, demand: broker.demandMethod }, 'broker connected');
      else this.#log.warn({ address, reason }, 'broker not connected, trying on');
    }
    const wasBlocked = this.#said.get('alarm')?.state === 'blocked';
    if (this.#isNews('alarm', broker.blocked === undefined ? 'none' : 'blocked', broker.blocked)) {
      if (broker.blocked !== undefined) this.#log.warn({ alarm: broker.blocked }, 'broker takes no messages');
      else if (wasBlocked) this.#log.info('broker takes messages again');
    }
    if (broker.up && (broker.state === 'master' || broker.state === 'standby')) {
      const momentary = !lasting && view.role === 'standby' && !this.#said.has('role');
      if (!momentary && this.#isNews('role', view.role, undefined)) {
        this.#log.info({ role: view.role, reason: view.roleReason, incarnation: view.incarnation }, 'role known');
      }
    }
  }

  #isNews(about: string, state: string, reason: string | undefined): boolean {
    const said = this.#said.get(about);
    if (said?.state !== state) {
      this.#said.set(about, { state, reasons: new Set([reason]) });
      return true;
    }
    if (said.reasons.has(reason)) return false;
    said.reasons.add(reason);
    return reason !== undefined;
  }
}
