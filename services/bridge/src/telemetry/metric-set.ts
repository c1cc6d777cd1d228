import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { BatchHistogram, Family, otherDestinations } from './family.ts';
import { type MetricName, metricTable } from './metric-table.ts';

/**
 * How often the event loop's lag is measured (ms). By default every 10 ms, which took a quarter of the time of a bridge that had
 * nothing else to do. What is measured has this interval in it: without any lag it is 50 ms.
 */
const lagMs = 50;

export interface MetricSetOptions {
  readonly network: string;
  /** The own cluster. */
  readonly cluster: string;
  /** Which destinations may have a label of their own (`bridge.metrics.destinations`); default: none. */
  readonly destinations?: (destination: string) => boolean;
  /** How many of those get one, first come, first served; default 200. */
  readonly maxDestinations?: number;
  /** Whether prom-client's process and event-loop metrics are shown too; default true. */
  readonly process?: boolean;
}

/** The series of every metric in the table, as Prometheus reads them. */
export class MetricSet {
  readonly #families = new Map<string, Family>();
  readonly #histograms = new Map<string, BatchHistogram>();
  readonly #registries: { readonly always: Registry; readonly master: Registry };
  #options: MetricSetOptions;
  readonly #labelled = new Set<string>();

  constructor(options: MetricSetOptions) {
    this.#options = options;
    this.#registries = { always: this.#registry(), master: this.#registry() };
    if (options.process ?? true)
      collectDefaultMetrics({ register: this.#registries.always, eventLoopMonitoringPrecision: lagMs });
    for (const [name, definition] of Object.entries(metricTable)) {
      const series =
        definition.type === 'histogram'
          ? new BatchHistogram(name, definition)
          : new Family(name, definition, (destination) => this.label(destination));
      if (series instanceof Family) this.#families.set(name, series);
      else this.#histograms.set(name, series);
      // prom-client asks a metric for no more than its name and `get`; its type wants its own class.
      this.#registries[definition.shown].registerMetric(series as unknown as Metric);
    }
  }

  add(name: MetricName, labels: readonly string[], n: number): void {
    this.#family(name).add(labels, n);
  }

  set(name: MetricName, labels: readonly string[], value: number): void {
    this.#family(name).set(labels, value);
  }

  raise(name: MetricName, labels: readonly string[], value: number): void {
    this.#family(name).raise(labels, value);
  }

  clear(...names: readonly MetricName[]): void {
    for (const name of names) this.#family(name).clear();
  }

  /** Counts `n` observations of the same value; 0 of them show the series as empty. */
  observe(name: MetricName, label: string, value: number, n: number): void {
    const histogram = this.#histograms.get(name);
    if (!histogram) throw new TypeError(`${name} is no histogram`);
    histogram.observe(label, value, n);
  }

  /** The label of a destination: its name if it is chosen and there is room, else `other`; it stays as it was first. */
  label(destination: string): string {
    if (this.#labelled.has(destination)) return destination;
    const { destinations, maxDestinations = 200 } = this.#options;
    if (!destinations?.(destination) || this.#labelled.size >= maxDestinations) return otherDestinations;
    this.#labelled.add(destination);
    return destination;
  }

  /** Other destinations have a label of their own from now on. */
  amend(changed: Pick<MetricSetOptions, 'destinations' | 'maxDestinations'>): void {
    this.#options = { ...this.#options, ...changed };
    this.#labelled.clear();
  }

  /** Removes the series of these peers and of these connectors. */
  remove(peers: ReadonlySet<string>, connectors: ReadonlySet<string>): void {
    for (const family of this.#families.values()) {
      family.remove(({ peer, connector }) => peers.has(peer ?? '') || connectors.has(connector ?? ''));
    }
    for (const histogram of this.#histograms.values()) histogram.remove(connectors);
  }

  /** Everything in Prometheus' text format. @param master those that only a master shows, too */
  async text(master: boolean): Promise<string> {
    const { always, master: masters } = this.#registries;
    return master ? `${await always.metrics()}\n${await masters.metrics()}` : always.metrics();
  }

  /** The series that have a destination, for the destinations asked for, whether or not they have a label elsewhere. */
  async detailed(wanted: (destination: string) => boolean): Promise<string> {
    const asked = [...this.#families.values()].filter((family) => family.definition.labels.includes('destination'));
    const registry = this.#registry();
    for (const family of asked) {
      const frozen = { name: family.name, get: async () => family.detailed(wanted) };
      registry.registerMetric(frozen as unknown as Metric);
    }
    return registry.metrics();
  }

  get contentType(): string {
    return this.#registries.always.contentType;
  }

  #registry(): Registry {
    const registry = new Registry();
    registry.setDefaultLabels({ network: this.#options.network, broker_cluster: this.#options.cluster });
    return registry;
  }

  #family(name: MetricName): Family {
    const family = this.#families.get(name);
    if (!family) throw new TypeError(`${name} is no counter or gauge`);
    return family;
  }
}
