import {
  clusterName,
  type Fields,
  fields,
  flag,
  invalid,
  list,
  milliseconds,
  optional,
  ranges,
  text,
  whole,
} from './fields.ts';
import type {
  AnswerFrame,
  BindingUpdate,
  CreditFrame,
  DemandFrame,
  Destination,
  Frame,
  MessagesFrame,
  QueueProperties,
  ResumeFrame,
  SettleFrame,
  StateFrame,
  StreamAddress,
  StreamEpoch,
} from './frame.ts';
import { limits } from './limits.ts';

/** All frames but the one with messages, whose records `message-records.ts` reads. */
export type HeadFrame = Exclude<Frame, MessagesFrame>;

type Readers = { [K in HeadFrame['kind']]: (head: Fields, raw: Uint8Array) => HeadFrame & { kind: K } };

const many = 100_000;
const digestBytes = 16;

/** One reader per kind: head and raw part to frame, every field checked. Fields that are not known are left out. */
export const headReaders: Readers = {
  connectors: (head) => ({
    kind: 'connectors',
    connectors: list(head, 'connectors', 10_000, (from, name) => {
      const item = fields(from, name);
      return {
        name: text(item, 'name', 255),
        from: clusterName(item, 'from'),
        to: clusterName(item, 'to'),
      };
    }),
  }),
  demand: (head) => ({
    kind: 'demand',
    ...demandKey(head),
    path: list(head, 'path', limits.pathClusters, clusterName),
    ttl: whole(head, 'ttl'),
    ...farther(head),
    connector: text(head, 'connector', 255),
    consumers: whole(head, 'consumers'),
    queue: queueProperties(head, 'queue'),
    leaseMs: milliseconds(head, 'leaseMs'),
  }),
  withdraw: (head) => ({ kind: 'withdraw', ...demandKey(head) }),
  unreachable: (head) => ({
    kind: 'unreachable',
    sink: clusterName(head, 'sink'),
    destination: destination(head, 'destination'),
  }),
  'hop-lost': (head) => ({
    kind: 'hop-lost',
    cluster: clusterName(head, 'cluster'),
    peer: clusterName(head, 'peer'),
    incarnation: whole(head, 'incarnation'),
    version: whole(head, 'version'),
    leaseMs: milliseconds(head, 'leaseMs'),
  }),
  relayed: (head) => ({ kind: 'relayed', sink: clusterName(head, 'sink'), bytes: whole(head, 'bytes') }),
  digest: (head) => ({
    kind: 'digest',
    incarnation: whole(head, 'incarnation'),
    count: whole(head, 'count'),
    digest: text(head, 'digest', 255),
  }),
  'snapshot-request': () => ({ kind: 'snapshot-request' }),
  'snapshot-begin': (head) => ({ kind: 'snapshot-begin', ...snapshotKey(head) }),
  'snapshot-end': (head) => ({ kind: 'snapshot-end', ...snapshotKey(head) }),
  collect: (head) => ({ kind: 'collect', ...collectionKey(head) }),
  collected: (head, raw) => {
    let at = 0;
    const items = list(head, 'items', many, (from, name) => {
      const item = fields(from, name);
      const count = whole(item, 'count');
      if (count * (digestBytes + 1) > raw.length - at) invalid('fewer digests than announced');
      const digests = raw.subarray(at, at + count * digestBytes);
      const ids = raw.subarray(at + count * digestBytes, at + count * (digestBytes + 1));
      at += count * (digestBytes + 1);
      const ageMs = optional(item, 'ageMs', milliseconds);
      return { destination: destination(item, 'destination'), digests, ids, ...(ageMs !== undefined && { ageMs }) };
    });
    if (at !== raw.length) invalid('bytes follow the last digest');
    return { kind: 'collected', ...collectionKey(head), complete: flag(head, 'complete'), items };
  },
  forget: (head) => ({ kind: 'forget', ...collectionKey(head), destination: destination(head, 'destination') }),
  'bindings-request': (head) => ({
    kind: 'bindings-request',
    ...topicKey(head),
    incarnation: whole(head, 'incarnation'),
    version: whole(head, 'version'),
  }),
  bindings: (head) => ({ kind: 'bindings', ...topicKey(head), update: bindingUpdate(fields(head, 'update')) }),
  ask: (head) => ({ kind: 'ask', ...questionKey(head), destination: destination(head, 'destination') }),
  answer: (head) => ({
    kind: 'answer',
    ...questionKey(head),
    complete: flag(head, 'complete'),
    findings: list(head, 'findings', limits.findings, (from, name) => {
      const item = fields(from, name);
      return {
        code: text(item, 'code', 64),
        state: text(item, 'state', 64),
        text: text(item, 'text', limits.reasonBytes),
      };
    }),
    ...site(head),
  }),
  open: (head) => ({
    kind: 'open',
    ...streamKey(head),
    connector: text(head, 'connector', 255),
    attempt: whole(head, 'attempt'),
    last: whole(head, 'last'),
    settledThrough: whole(head, 'settledThrough'),
    gone: ranges(head, 'gone'),
    queue: queueProperties(head, 'queue'),
  }),
  resume: (head) => ({
    kind: 'resume',
    ...streamKey(head),
    attempt: whole(head, 'attempt'),
    sinkIncarnation: whole(head, 'sinkIncarnation'),
    received: ranges(head, 'received'),
    accepted: ranges(head, 'accepted'),
    rejected: list(head, 'rejected', many, rejection),
    creditVersion: whole(head, 'creditVersion'),
    granted: whole(head, 'granted'),
    ...countedSince(head),
  }),
  refuse: (head) => ({
    kind: 'refuse',
    ...streamKey(head),
    reason: text(head, 'reason', limits.reasonBytes),
    retryAfterMs: milliseconds(head, 'retryAfterMs'),
  }),
  credit: (head) => ({
    kind: 'credit',
    ...streamKey(head),
    creditVersion: whole(head, 'creditVersion'),
    granted: whole(head, 'granted'),
    ...blocked(head),
  }),
  settle: (head) => ({
    kind: 'settle',
    ...streamKey(head),
    accepted: ranges(head, 'accepted'),
    released: ranges(head, 'released'),
    rejected: list(head, 'rejected', many, rejection),
    ...countedSince(head),
    ...comparison(head),
  }),
  state: (head) => ({
    kind: 'state',
    ...streamKey(head),
    settledThrough: whole(head, 'settledThrough'),
    removedThrough: whole(head, 'removedThrough'),
    creditVersion: whole(head, 'creditVersion'),
    taken: whole(head, 'taken'),
    returned: ranges(head, 'returned'),
    empty: flag(head, 'empty'),
    ...removed(head),
  }),
  gap: (head) => ({ kind: 'gap', ...streamKey(head), missing: ranges(head, 'missing') }),
  closed: (head) => ({
    kind: 'closed',
    ...streamKey(head),
    reason: text(head, 'reason', limits.reasonBytes),
  }),
};

/** What names a stream and its life, in every stream frame. */
export function streamKey(head: Fields): StreamEpoch & { readonly address: StreamAddress; readonly hops?: number } {
  const address = fields(head, 'address');
  return {
    address: {
      source: clusterName(address, 'source'),
      sink: clusterName(address, 'sink'),
      destination: destination(address, 'destination'),
    },
    incarnation: whole(head, 'incarnation'),
    epoch: whole(head, 'epoch'),
    ...hops(head),
  };
}

function hops(head: Fields): { readonly hops?: number } {
  const found = optional(head, 'hops', whole);
  return found === undefined ? {} : { hops: found };
}

function site(head: Fields): Pick<AnswerFrame, 'site'> {
  const found = optional(head, 'site', (from, name) => text(from, name, limits.siteBytes));
  return found === undefined ? {} : { site: found };
}

function countedSince(head: Fields): Pick<ResumeFrame, 'countedSince'> {
  const found = optional(head, 'countedSince', whole);
  return found === undefined ? {} : { countedSince: found };
}

function comparison(head: Fields): Pick<SettleFrame, 'comparison'> {
  const found = optional(head, 'comparison', fields);
  if (found === undefined) return {};
  const [through, lost, doubled] = [whole(found, 'through'), whole(found, 'lost'), whole(found, 'doubled')];
  return { comparison: { through, lost, doubled } };
}

function removed(head: Fields): Pick<StateFrame, 'removed'> {
  const found = optional(head, 'removed', fields);
  if (found === undefined) return {};
  return { removed: { since: whole(found, 'since'), count: whole(found, 'count'), sum: whole(found, 'sum') } };
}

function blocked(head: Fields): Pick<CreditFrame, 'blocked'> {
  if (head['blocked'] === undefined) return {};
  const item = fields(head, 'blocked');
  return { blocked: { reason: text(item, 'reason', 64), detail: text(item, 'detail', limits.reasonBytes) } };
}

function snapshotKey(head: Fields) {
  return {
    incarnation: whole(head, 'incarnation'),
    version: whole(head, 'version'),
    sighted: flag(head, 'sighted'),
  };
}

function farther(head: Fields): Pick<DemandFrame, 'farther'> {
  if (head['farther'] === undefined) return {};
  return {
    farther: list(head, 'farther', limits.pathClusters, (from, name) => {
      const way = fields(from, name);
      return { path: list(way, 'path', limits.pathClusters, clusterName), ttl: whole(way, 'ttl') };
    }),
  };
}

function demandKey(head: Fields) {
  return {
    sink: clusterName(head, 'sink'),
    destination: destination(head, 'destination'),
    incarnation: whole(head, 'incarnation'),
    version: whole(head, 'version'),
  };
}

function collectionKey(head: Fields) {
  return {
    source: clusterName(head, 'source'),
    sink: clusterName(head, 'sink'),
    incarnation: whole(head, 'incarnation'),
    ...hops(head),
  };
}

function topicKey(head: Fields) {
  return {
    source: clusterName(head, 'source'),
    sink: clusterName(head, 'sink'),
    exchange: text(head, 'exchange', 255),
    ...hops(head),
  };
}

function questionKey(head: Fields) {
  return {
    source: clusterName(head, 'source'),
    sink: clusterName(head, 'sink'),
    question: whole(head, 'question'),
    ...hops(head),
  };
}

function bindingUpdate(item: Fields): BindingUpdate {
  const incarnation = whole(item, 'incarnation');
  const { is } = item;
  const texts = (name: string) => list(item, name, many, (from, at) => text(from, at, limits.headBytes));
  if (is === 'ops') return { is, incarnation, from: whole(item, 'from'), ops: texts('ops') };
  if (is !== 'full') return invalid('a binding update is neither ops nor full');
  const version = whole(item, 'version');
  return {
    is,
    incarnation,
    version,
    part: whole(item, 'part'),
    parts: whole(item, 'parts'),
    bindings: texts('bindings'),
  };
}

const destinationKinds: ReadonlySet<unknown> = new Set<Destination['kind']>(['queue', 'topic', 'reply', 'cluster']);

function destination(from: Fields, name: string): Destination {
  const item = fields(from, name);
  const { kind } = item;
  if (!destinationKinds.has(kind)) return invalid('a destination is of a kind that is not known');
  return { kind: kind as Destination['kind'], name: text(item, 'name', 255) };
}

function rejection(from: Fields, name: string): { sequence: number; reason: string } {
  const item = fields(from, name);
  return {
    sequence: whole(item, 'sequence'),
    reason: text(item, 'reason', limits.reasonBytes),
  };
}

const queueFields = {
  type: (from: Fields, name: string) => text(from, name, 64),
  durable: flag,
  autoDelete: flag,
  exclusive: flag,
  expires: flag,
  maxLength: whole,
  maxLengthBytes: whole,
  overflow: (from: Fields, name: string) => text(from, name, 64),
  singleActiveConsumer: flag,
  maxPriority: whole,
  deliveryLimit: whole,
  internalPurpose: (from: Fields, name: string) => text(from, name, 255),
} satisfies { [K in keyof QueueProperties]-?: (from: Fields, name: string) => NonNullable<QueueProperties[K]> };

function queueProperties(from: Fields, key: string): QueueProperties {
  const item = fields(from, key);
  const queue: { [name: string]: unknown } = {};
  for (const [name, read] of Object.entries(queueFields)) {
    const found = optional<unknown>(item, name, read);
    if (found !== undefined) queue[name] = found;
  }
  return queue;
}
