import type { Clock } from '@tombolo/kernel/clock';
import type { Topology } from '@tombolo/topology/topology';
import type { Sighting, Sightings } from './admin/network.ts';
import { type FlowRates, type Site, siteOf, siteSchema } from './admin/site.ts';
import type { BridgeView } from './admin/view.ts';
import { joinedClusters } from './routing/agreement.ts';
import type { Questions } from './routing/questions.ts';
import type { Router } from './routing/router.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface SurveyorOptions {
  /** The one that is in force. */
  readonly topology: () => Topology;
  readonly cluster: string;
  readonly clock: Clock;
  readonly router: Pick<Router, 'hop'>;
  readonly questions: Pick<Questions, 'askSite'>;
  readonly view: () => BridgeView;
  readonly metrics: Pick<Metrics, 'forwardRates' | 'deliveryRates' | 'transitRates'>;
}

/** Others are not asked more often, however many look (ms). */
const ROUND_MS = 1_000;
/** Who looks is not kept waiting longer for those that are slow; they are seen when somebody looks again. */
const PATIENCE_MS = 500;
/** An answer is shown no longer when no newer one comes. */
const STALE_MS = 15_000;

/** Sees the whole network: asks the bridges of all clusters what they say of themselves, while somebody looks. */
export class Surveyor {
  readonly #options: SurveyorOptions;
  readonly #told = new Map<string, { readonly site: Site; readonly at: number }>();
  #round: Promise<unknown> = Promise.resolve();
  #nextRound = Number.NEGATIVE_INFINITY;

  constructor(options: SurveyorOptions) {
    this.#options = options;
  }

  /** What this bridge says of its own cluster. */
  own(): Site {
    const { topology, view } = this.#options;
    return ownSite({ ...this.#options, topology: topology() }, view());
  }

  /** What the bridges of all clusters say that connectors join with this one, the own one first. */
  async survey(): Promise<Sightings> {
    const { clock } = this.#options;
    if (clock.now() >= this.#nextRound) {
      this.#nextRound = clock.now() + ROUND_MS;
      this.#round = Promise.all(this.#others().map((other) => this.#ask(other)));
    }
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = clock.wake(clock.now() + PATIENCE_MS, resolve);
    });
    await Promise.race([this.#round, late]);
    cancel();
    const { cluster } = this.#options;
    const others = this.#others().map((other): [string, Sighting] => [other, this.#sighting(other)]);
    return new Map([[cluster, { seen: 'own', ageMs: 0, site: this.own() }], ...others]);
  }

  #others(): string[] {
    const { topology, cluster } = this.#options;
    return joinedClusters(topology(), cluster);
  }

  async #ask(other: string): Promise<void> {
    const { clock, questions, router } = this.#options;
    if (router.hop(other) === undefined) return;
    const site = parsed(await questions.askSite(other));
    if (site?.cluster === other) this.#told.set(other, { site, at: clock.now() });
  }

  #sighting(other: string): Sighting {
    const { clock, router } = this.#options;
    const reachable = router.hop(other) !== undefined;
    const told = this.#told.get(other);
    const ageMs = told && clock.now() - told.at;
    if (!reachable) return { seen: 'unreachable', ...(ageMs !== undefined && { ageMs }) };
    if (!told || ageMs === undefined || ageMs > STALE_MS)
      return { seen: 'silent', ...(ageMs !== undefined && { ageMs }) };
    return { seen: 'told', ageMs, site: told.site };
  }
}

/** What the bridge of this view says of its own cluster, master or not. */
export function ownSite(
  { topology, cluster, metrics }: { readonly topology: Topology } & Pick<SurveyorOptions, 'cluster' | 'metrics'>,
  view: BridgeView,
): Site {
  const rates: FlowRates = {
    forwarded: metrics.forwardRates.perSecond(),
    delivered: metrics.deliveryRates.perSecond(),
    relayed: metrics.transitRates.perSecond(),
  };
  return siteOf(view, topology.clusters[cluster]?.broker?.uris ?? [], rates);
}

/** A peer may say anything: what is not a site is no answer. */
function parsed(text: string | undefined): Site | undefined {
  if (text === undefined) return undefined;
  try {
    return siteSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
