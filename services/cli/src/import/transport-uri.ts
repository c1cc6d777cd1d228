import type { ImportedPeer } from './network-connector.ts';

/** What a discovery URI of ActiveMQ says: whom it finds, and a sentence for what has no equivalent. */
export interface Discovered {
  readonly peers: readonly ImportedPeer[];
  readonly comments: readonly string[];
}

/**
 * Reads the uri of a networkConnector. `static:(a,b)` are two brokers; `masterslave:(a,b)`, and `failover:(a,b)` inside the other,
 * one broker at several addresses. Whom multicast and the like find, only the running broker knows.
 */
export function peersOf(uri: string): Discovered {
  const comments: string[] = [];
  const { scheme, members, options } = taken(uri);
  for (const option of options)
    comments.push(`${option}: bridges link again on their own, with back-off and jitter, without end`);
  if (scheme === 'static') {
    const peers = members.map((member) => {
      const inner = taken(member);
      for (const option of inner.isComposite ? inner.options : [])
        comments.push(`${option}: all addresses are tried in order, again and again`);
      return { uris: inner.isComposite ? inner.members : [member] };
    });
    return { peers: peers.filter(({ uris }) => uris.length > 0), comments };
  }
  if (scheme === 'masterslave' || scheme === 'failover') return { peers: [{ uris: members }], comments };
  if (addressOf(uri)) return { peers: [{ uris: [uri] }], comments };
  comments.push(
    `brokers that ${scheme || 'it'} finds cannot be read from here; a topology names its clusters, so name them`,
  );
  return { peers: [{ uris: [] }], comments };
}

interface Taken {
  readonly scheme: string;
  readonly isComposite: boolean;
  readonly members: readonly string[];
  readonly options: readonly string[];
}

/** `scheme:(a,b)?x=1&y=2`, or `scheme:a` for a single member. */
function taken(uri: string): Taken {
  const scheme = /^([a-z+]+):/i.exec(uri.trim())?.[1]?.toLowerCase() ?? '';
  const rest = uri.trim().slice(scheme.length + 1);
  const isComposite = ['static', 'masterslave', 'failover', 'fanout', 'discovery'].includes(scheme);
  const enclosed = /^(?:\/\/)?\((.*)\)(?:\?(.*))?$/s.exec(rest);
  const inside = enclosed?.[1] ?? (isComposite ? rest.replace(/^\/\//, '') : '');
  const options = enclosed?.[2]?.split(/&(?:amp;)?/).filter((option) => option !== '') ?? [];
  return { scheme, isComposite, members: isComposite ? split(inside) : [], options };
}

/** At commas that stand in no brackets. */
function split(list: string): string[] {
  const members: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= list.length; at++) {
    const character = list[at];
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character !== undefined && (character !== ',' || depth > 0)) continue;
    members.push(list.slice(from, at).trim());
    from = at + 1;
  }
  return members.filter((member) => member !== '');
}

export interface BrokerAddress {
  /** May hold a placeholder of Spring's. */
  readonly host: string;
  readonly port: string | undefined;
  readonly isTls: boolean;
}

const transports =
  /^(?:auto\+)?(tcp|nio|ssl|nio\+ssl|auto|auto\+ssl|auto\+nio|auto\+nio\+ssl|http|https|ws|wss|stomp|stomp\+nio|stomp\+ssl|stomp\+nio\+ssl):\/\//i;

/** The host of a transport's address; undefined for what is none. */
export function addressOf(uri: string): BrokerAddress | undefined {
  const scheme = transports.exec(uri)?.[0];
  if (!scheme) return undefined;
  const authority = /^(\$\{[^}]*\}|\[[^\]]*\]|[^:/?#]+)(?::(\d+|\$\{[^}]*\}))?/.exec(uri.slice(scheme.length));
  return authority?.[1] ? { host: authority[1], port: authority[2], isTls: /ssl|https|wss/i.test(scheme) } : undefined;
}
