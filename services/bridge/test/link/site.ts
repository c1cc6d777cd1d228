import { systemClock } from '@tombolo/kernel/clock';
import type { Frame, MessagesFrame } from '@tombolo/wire/frame';
import { Links, type LinksOptions } from '../../src/link/links.ts';
import type { UpInfo } from '../../src/link/peer-link.ts';

/** One cluster's links, with all that they told. */
export interface Site {
  readonly links: Links;
  readonly ups: (UpInfo & { peer: string; at: number })[];
  readonly downs: { peer: string; reason: string; at: number }[];
  readonly frames: { peer: string; frame: Frame; bytes: number; consumed: () => void }[];
  readonly logged: { level: string; facts: object; message: string }[];
  readonly seen: number[];
  writable: number;
  role: 'master' | 'standby';
  incarnation: number;
  /** Data is consumed as it comes, unless told otherwise. */
  consumes: boolean;
}

/** Fast enough for tests, slow enough for a busy machine. */
export const testPolicy = {
  heartbeatMs: 300,
  handshakeMs: 2_000,
  backoff: { baseMs: 20, capMs: 300 },
  fastMs: 20,
  drainMs: 500,
};

export function siteOf(cluster: string, options: Partial<LinksOptions> & { secrets?: string[] }): Site {
  const log = (level: string) => (facts: object, message: string) => site.logged.push({ level, facts, message });
  const links = new Links({
    network: 'acme',
    cluster,
    instance: `${cluster}-0`,
    incarnation: () => site.incarnation,
    seenIncarnation: () => 0,
    onPeerSawIncarnation: (_, incarnation) => site.seen.push(incarnation),
    peers: [],
    accepting: () => site.role,
    clock: systemClock,
    random: Math.random,
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    policy: testPolicy,
    listener: {
      up: (peer, info) => site.ups.push({ peer, ...info, at: performance.now() }),
      down: (peer, reason) => site.downs.push({ peer, reason, at: performance.now() }),
      frame: (peer, frame, bytes, consumed) => {
        site.frames.push({ peer, frame, bytes, consumed });
        if (site.consumes) consumed();
      },
      writable: () => site.writable++,
    },
    ...options,
  });
  const site: Site = {
    links,
    ups: [],
    downs: [],
    frames: [],
    logged: [],
    seen: [],
    writable: 0,
    role: 'master',
    incarnation: 1,
    consumes: true,
  };
  return site;
}

export const local = { host: '127.0.0.1', port: 0 };

export function peerOf(cluster: string, port: number | undefined, secrets = ['s3cret']) {
  return {
    cluster,
    uris: port === undefined ? [] : [`ws://127.0.0.1:${port}/link`],
    dial: port !== undefined,
    secrets,
  };
}

export function messagesOf(sequence: number, size: number): MessagesFrame {
  const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'orders' } } as const;
  const message = {
    sequence,
    redelivered: false,
    resent: false,
    digest: new Uint8Array(16),
    hasId: false,
    exchange: '',
    routingKey: 'orders',
    properties: new Uint8Array(2),
    body: Buffer.alloc(size, sequence),
  };
  return { kind: 'messages', address, incarnation: 1, epoch: 1, attempt: 1, last: 1, messages: [message] };
}
