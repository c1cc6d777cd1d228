import type { Address } from './units.ts';

/** Where Redis is: one server, the group that Sentinels watch, or a Redis Cluster. */
export type RedisUri = {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** At least one: the server, Sentinels, or nodes to begin with. */
  readonly hosts: readonly Address[];
} & (
  | { readonly kind: 'server'; readonly database: number }
  /** `group` is what the Sentinels call it (`sentinel monitor GROUP …`). */
  | { readonly kind: 'sentinel'; readonly group: string; readonly database: number }
  | { readonly kind: 'cluster' }
);

const form = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#]*))?$/;
const hostForm = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;

/**
 * Reads `redis://[user:password@]host[:port][/database]`, `redis+sentinel://host[:port],…/group[/database]` and
 * `redis+cluster://host[:port],…`; with `rediss` over TLS. The credentials are the data servers', not the Sentinels'.
 * Undefined when it is none of these.
 */
export function parseRedisUri(text: string): RedisUri | undefined {
  const [, s, suffix, userinfo, authority, path = ''] = form.exec(text) ?? [];
  if (authority === undefined) return undefined;
  const kind = suffix === 'sentinel' || suffix === 'cluster' ? suffix : 'server';
  const hosts = authority.split(',').map((host) => parseHost(host, kind === 'sentinel' ? 26_379 : 6379));
  if (hosts.includes(undefined) || (kind === 'server' && hosts.length > 1)) return undefined;
  const common = { tls: s === 's', hosts: hosts as Address[], ...credentials(userinfo) };
  const parts = path.split('/');
  if (kind === 'cluster') return path === '' ? { ...common, kind } : undefined;
  const group = kind === 'sentinel' ? decode(parts.shift() ?? '') : undefined;
  const digits = parts.shift() ?? '';
  if (parts.length > 0 || !/^\d{0,5}$/.test(digits) || group === '') return undefined;
  const database = Number(digits);
  return group === undefined
    ? { ...common, kind: 'server', database }
    : { ...common, kind: 'sentinel', group, database };
}

/** The URI as written, less the credentials: fit to be logged. */
export function redisUriWithoutCredentials(text: string): string {
  return text.replace(/^([^/]*:\/\/)[^/?#]*@/, '$1');
}

function parseHost(text: string, defaultPort: number): Address | undefined {
  const [, bracketed, plain, digits] = hostForm.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

function credentials(userinfo = ''): { username: string | undefined; password: string | undefined } {
  const colon = userinfo.indexOf(':');
  const [username, password] = colon < 0 ? [userinfo, ''] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)];
  return { username: decode(username) || undefined, password: decode(password) || undefined };
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
