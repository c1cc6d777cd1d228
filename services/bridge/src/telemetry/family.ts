import type { MetricDefinition } from './metric-table.ts';

type Labels = Record<string, string> & {
  readonly destination?: string;
  readonly peer?: string;
  readonly connector?: string;
};

interface Row {
  readonly labels: Labels;
  value: number;
}

/** One sample as prom-client's registry prints it. */
interface Sample {
  readonly metricName?: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** What a registry needs of a metric; prom-client calls `get` at every scrape. */
interface Exposition {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
}

/** How many series of one metric are kept apart by their true destination; what comes later counts as `other`. */
const maxRows = 20_000;

/** The destination label of everything that has none of its own. */
export const otherDestinations = 'other';

/**
 * The series of one counter or gauge. prom-client's own would do but for one thing: series are kept by their true
 * destination here (for `/metrics/detailed`) and shown by the label that the destination is allowed, so that the sum
 * (or the largest) over a destination label is the same whichever way one looks.
 */
export class Family {
  readonly name: string;
  readonly definition: MetricDefinition;
  readonly #labelOf: (destination: string) => string;
  readonly #rows = new Map<string, Row>();

  constructor(name: string, definition: MetricDefinition, labelOf: (destination: string) => string) {
    this.name = name;
    this.definition = definition;
    this.#labelOf = labelOf;
  }

  /** Adds to the series with these label values, given in the order of the definition. */
  add(values: readonly string[], n: number): void {
    this.#row(values).value += n;
  }

  /** Sets the series with these label values. */
  set(values: readonly string[], value: number): void {
    this.#row(values).value = value;
  }

  /** Raises the series with these label values to this value, if it is below. */
  raise(values: readonly string[], value: number): void {
    const row = this.#row(values);
    row.value = Math.max(row.value, value);
  }

  /** Removes every series, so that those that are not set again vanish. */
  clear(): void {
    this.#rows.clear();
  }

  /** Removes the series with such labels, for good. */
  remove(which: (labels: Labels) => boolean): void {
    for (const [key, { labels }] of this.#rows) if (which(labels)) this.#rows.delete(key);
  }

  /** Called by prom-client at a scrape: destinations without a label of their own are summed up. */
  async get(): Promise<Exposition> {
    const shown = new Map<string, Row>();
    for (const { labels, value } of this.#rows.values()) {
      const destination = labels.destination;
      const visible = destination === undefined ? labels : { ...labels, destination: this.#labelOf(destination) };
      const key = Object.values(visible).join('\u0000');
      const row = shown.get(key);
      if (row) row.value = this.definition.combine === 'max' ? Math.max(row.value, value) : row.value + value;
      else shown.set(key, { labels: visible, value });
    }
    return this.#exposition([...shown.values()]);
  }

  /** The series of the destinations asked for, each under its own name. */
  detailed(wanted: (destination: string) => boolean): Exposition {
    const rows = [...this.#rows.values()].filter((row) => {
      const destination = row.labels.destination;
      return destination !== undefined && wanted(destination);
    });
    return this.#exposition(rows);
  }

  #exposition(rows: readonly Row[]): Exposition {
    const values = rows.map(({ labels, value }) => ({ labels, value }));
    return { name: this.name, help: this.definition.help, type: this.definition.type, values };
  }

  #row(values: readonly string[]): Row {
    const key = values.join('\u0000');
    const known = this.#rows.get(key);
    if (known) return known;
    const names = this.definition.labels;
    const at = names.indexOf('destination');
    if (at >= 0 && values[at] !== otherDestinations && this.#rows.size >= maxRows) {
      return this.#row(values.with(at, otherDestinations));
    }
    const row = { labels: Object.fromEntries(names.map((name, i) => [name, values[i] ?? ''])), value: 0 };
    this.#rows.set(key, row);
    return row;
  }
}

interface Buckets {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** A histogram that takes a whole batch in one call: prom-client's takes one observation at a time. */
export class BatchHistogram {
  readonly name: string;
  readonly definition: MetricDefinition;
  readonly #series = new Map<string, Buckets>();

  constructor(name: string, definition: MetricDefinition) {
    this.name = name;
    this.definition = definition;
  }

  /** Counts `n` observations of the same value for the series with this label value; 0 of them show it as empty. */
  observe(label: string, value: number, n: number): void {
    let series = this.#series.get(label);
    if (!series) {
      series = { counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
      this.#series.set(label, series);
    }
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + n;
    series.sum += value * n;
    series.count += n;
  }

  get #bounds(): readonly number[] {
    return this.definition.bounds ?? [];
  }

  /** Removes the series with these label values, for good. */
  remove(labels: ReadonlySet<string>): void {
    for (const label of labels) this.#series.delete(label);
  }

  /** Called by prom-client at a scrape; buckets are cumulative. */
  async get(): Promise<Exposition> {
    const values: Sample[] = [];
    const label = this.definition.labels[0] ?? '';
    for (const [labelValue, { counts, sum, count }] of this.#series) {
      const labels = { [label]: labelValue };
      let below = 0;
      this.#bounds.forEach((bound, i) => {
        below += counts[i] ?? 0;
        values.push({ metricName: `${this.name}_bucket`, labels: { le: String(bound), ...labels }, value: below });
      });
      values.push({ metricName: `${this.name}_bucket`, labels: { le: '+Inf', ...labels }, value: count });
      values.push({ metricName: `${this.name}_sum`, labels, value: sum });
      values.push({ metricName: `${this.name}_count`, labels, value: count });
    }
    return { name: this.name, help: this.definition.help, type: 'histogram', values };
  }
}
