const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const rateUnits: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600 };

/** What a duration looks like; `1h30m` is one, a bare number is not: nobody remembers whose unit it was. */
export const durationPattern = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
/** What a size looks like when it is not a plain number of bytes. */
export const sizePattern = /^\d+(?:\.\d+)?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$/;
/** A number of messages per second, minute or hour. */
export const messageRatePattern = /^\d+(?:\.\d+)?\/(?:s|m|min|h)$/;
/** A size per second, minute or hour. */
export const byteRatePattern = /^\d+(?:\.\d+)?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?\/(?:s|m|min|h)$/;

/** Milliseconds of `500ms`, `60s`, `1h30m`; undefined when the text is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(count) * durationUnits[unit!]!;
  }
  return Math.round(total);
}

/** Bytes of `32MiB`, `10MB`, `4096` or 4096; undefined when it is no size. */
export function parseBytes(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (!sizePattern.test(value)) return undefined;
  const [, count, unit] = /^([\d.]+)(.*)$/.exec(value)!;
  const bytes = Math.round(Number(count) * (sizeUnits[unit || 'B'] ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Per second: `5000/s`, `10MiB/s`, `60/min`, or a plain number; undefined when it is no rate. */
export function parsePerSecond(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (!byteRatePattern.test(value)) return undefined;
  const [amount, unit] = value.split('/');
  const count = parseBytes(amount!) ?? Number(amount);
  return Number.isFinite(count) ? count / rateUnits[unit!]! : undefined;
}

/** The largest unit that says it without a fraction: 90000 is `90s`. */
export function renderDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = durationUnits[unit]!;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** The largest binary unit that says it without a fraction: 33554432 is `32MiB`. */
export function renderBytes(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    const size = sizeUnits[unit]!;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, IPv6 in brackets; port 0 lets the system choose. Undefined when it is no such thing. */
export function parseAddress(text: string): Address | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** True for an address that only this machine can reach. IPv6 with or without brackets. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}
