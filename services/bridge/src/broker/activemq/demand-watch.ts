import type { DemandListener, DemandWatch, QueueDemand } from '../port.ts';
import type { Surroundings } from '../surroundings.ts';
import type { ConsumerTable } from './consumer-table.ts';
import { marker, queueProperties } from './queue-look.ts';

type Names = Parameters<DemandWatch['watch']>[0];

/** Where demand comes from: the table that advisories fill. */
export interface DemandView {
  readonly table: ConsumerTable | undefined;
  anew(): void;
}

const byAdvisories = 'consumer advisories';
const nothingYet = 'consumer advisories, which have not come yet';

/**
 * Demand as consumer advisories tell it. Without them no consumer is seen: queues that the file names exactly are taken to exist, so
 * that what is forwarded without demand still is.
 */
export class ActiveMqDemandWatch implements DemandWatch {
  readonly #view: DemandView;
  readonly #surroundings: Surroundings;
  #names: Names | undefined;
  #listener: DemandListener | undefined;
  #visible: boolean | undefined;
  #method = nothingYet;
  #blind = false;
  readonly #created = new Set<string>();
  readonly #told = new Map<string, QueueDemand>();
  /** Queues whose consumers with a selector were logged. */
  readonly #selective = new Set<string>();

  constructor(view: DemandView, surroundings: Surroundings) {
    this.#view = view;
    this.#surroundings = surroundings;
  }

  get method(): string {
    return this.#method;
  }

  watch(names: Names, listener: DemandListener): void {
    const known = this.#listener === listener;
    this.#names = names;
    this.#listener = listener;
    if (!known) {
      this.#created.clear();
      this.#told.clear();
      this.#visible = undefined;
    }
    if (this.#blind) this.#tellExact();
    else if (this.#view.table) this.known();
  }

  refresh(): void {
    this.#view.anew();
  }

  // ---- what advisories tell ----------------------------------------------------------------------------------------------

  known(): void {
    const { table } = this.#view;
    if (!table) return;
    if (this.#blind) this.#surroundings.log.info({}, 'consumers are seen now');
    this.#blind = false;
    this.#method = byAdvisories;
    for (const queue of new Set([...this.#created, ...this.#told.keys(), ...table.queues])) this.#judge(queue, table);
    this.#see(true);
  }

  changed(queues: Iterable<string>): void {
    const { table } = this.#view;
    if (!table) return;
    for (const queue of queues) this.#judge(queue, table);
  }

  blind(reason: string): void {
    this.#method = `exact names without demand: the broker sends no consumer advisories (${reason})`;
    if (!this.#blind) this.#surroundings.log.warn({ reason, advice: advice }, 'consumers cannot be seen');
    this.#blind = true;
    this.#tellExact();
  }

  detach(): void {
    this.#method = nothingYet;
    this.#blind = false;
    this.#see(false);
  }

  // ---- telling -----------------------------------------------------------------------------------------------------------

  #judge(queue: string, table: ConsumerTable): void {
    // What the marker says is in it, not that it is there: who becomes the master looks.
    const watched = queue !== marker && (this.#names?.matches(queue) ?? false);
    const exists = watched && table.has(queue);
    if (!exists && this.#created.delete(queue)) {
      this.#told.delete(queue);
      this.#listener?.deleted(queue);
      return;
    }
    if (!watched || !exists) return;
    if (!this.#created.has(queue)) {
      this.#created.add(queue);
      this.#listener?.created(queue, queueProperties);
    }
    const { consumers, capacity, selective } = table.wanted(queue);
    this.#warn(queue, selective);
    const told = this.#told.get(queue);
    if ((told?.consumers ?? 0) === consumers && (told?.capacity ?? 0) === capacity) return;
    const demand: QueueDemand = { queue, consumers, capacity, properties: queueProperties, ready: undefined };
    if (consumers === 0) this.#told.delete(queue);
    else this.#told.set(queue, demand);
    this.#listener?.changed(demand);
  }

  #warn(queue: string, selective: number): void {
    if (selective === 0) {
      this.#selective.delete(queue);
      return;
    }
    if (this.#selective.has(queue)) return;
    this.#selective.add(queue);
    this.#surroundings.log.warn(
      { queue, consumers: selective },
      'consumers with a selector draw nothing from other clusters: what they cannot take would be stranded here',
    );
  }

  #tellExact(): void {
    for (const queue of this.#names?.exact ?? []) {
      // Names of its own are looked at when they are needed.
      if (queue.startsWith('tombolo.') || this.#created.has(queue)) continue;
      this.#created.add(queue);
      this.#listener?.created(queue, queueProperties);
    }
    this.#see(true);
  }

  #see(visible: boolean): void {
    if (this.#visible === visible) return;
    this.#visible = visible;
    this.#listener?.visible(visible);
  }
}

const advice =
  'Give ActiveMQ the jars of XStream, Jettison and XPP3 (Debian: libxstream-java libjettison-java libxpp3-java, in its lib folder or by --extdir), advisorySupport, and this user the right to read ActiveMQ.Advisory.>. Until then name what is to be forwarded in staticallyIncludedDestinations.';
