import { createHmac, timingSafeEqual } from 'node:crypto';
import { messageOf } from '@tombolo/kernel/fault';
import { decodeGreeting, encodeGreeting, type Hello, type Refusal, type RefusalReason } from './greeting.ts';

/*
 * How two bridges come to trust each other. Pure: bytes in, state and what to do out.
 *
 *   dialler                                              listener
 *   hello ─────────────────────────────────────────────▶ (1) network? known? version? master?
 *   (2) the same, and: is it whom I dialled? ◀────────── hello
 *   proof ─────────────────────────────────────────────▶ (3) proof? then: incarnation? duplicate?
 *   (4) proof? incarnation? ◀─────────────────────────── proof        up
 *   up
 *
 *   dialler:  hello-awaited ──(2)──▶ proof-awaited ──(4)──▶ over
 *   listener: hello-awaited ──(1)──▶ proof-awaited ──(3)──▶ over      any state ──refusal, fault──▶ over
 *
 * A proof is HMAC-SHA256(secret, role, dialler's hello, listener's hello), the hellos as their bytes: it is bound to both
 * nonces and to the role, so neither an old proof nor one's own can be played back. The listener proves only after it has
 * seen proof, so a stranger who dials gets nothing to guess secrets against.
 */
export type Role = 'dialler' | 'listener';

/** The version of the link protocol that this build speaks. The next minor release speaks [1, 2]. */
export const protocolVersions: readonly [lowest: number, highest: number] = [1, 1];

/** What this side says of itself; the rest of the hello depends on the peer. */
export type Self = Pick<
  Hello,
  'network' | 'cluster' | 'instance' | 'life' | 'attempt' | 'incarnation' | 'nonce' | 'versions'
>;

/** What this side knows of a peer that its file names. */
export interface KnownPeer {
  /** Proves with the first, accepts any; at least one. Compared in constant time, never sent, never logged. */
  readonly secrets: readonly string[];
  /** The highest incarnation that this side has seen of the peer. */
  readonly seenIncarnation: number;
}

/** What the handshake asks of its surroundings. */
export interface Surroundings {
  peer(cluster: string): KnownPeer | undefined;
  accepting(): 'master' | 'standby';
  /** Asked once the peer is proved: may there be a link now? Only the link layer knows which others there are. */
  admit(peer: Hello, role: Role): Refusal | undefined;
  /** What is wrong with the certificate that the peer showed, if it is this cluster; absent: none was asked for. */
  certificate?(cluster: string): Refusal | undefined;
}

export type HandshakeState =
  | { readonly is: 'hello-awaited'; readonly role: 'listener'; readonly self: Self }
  | {
      readonly is: 'hello-awaited';
      readonly role: 'dialler';
      readonly self: Self;
      readonly to: string;
      /** This side's hello as it was sent: the proofs are made over these bytes. */
      readonly hello: Uint8Array;
    }
  | {
      readonly is: 'proof-awaited';
      readonly role: Role;
      readonly self: Self;
      readonly peer: Hello;
      /** Both hellos as they were on the wire, the dialler's first. */
      readonly hellos: readonly [Uint8Array, Uint8Array];
      readonly version: number;
    }
  | { readonly is: 'over' };

export type HandshakeEffect =
  | { readonly do: 'send'; readonly bytes: Uint8Array }
  /** The peer is proved and let in. */
  | { readonly do: 'accept'; readonly peer: Hello; readonly version: number }
  /** The peer is proved and has seen a higher incarnation of this cluster than this side's. */
  | { readonly do: 'report-seen'; readonly peer: string; readonly incarnation: number }
  /** There is no link. `by` says who refused; `peer` is whom it claims to be, once it has said so. */
  | {
      readonly do: 'refuse';
      readonly refusal: Refusal;
      readonly by: 'self' | 'peer';
      readonly peer: string | undefined;
      readonly proved: boolean;
    };

export type HandshakeStep = readonly [HandshakeState, readonly HandshakeEffect[]];

const over: HandshakeState = { is: 'over' };

/** The dialler's first step: it says hello. */
export function dial(self: Self, to: string, around: Surroundings): HandshakeStep {
  const known = around.peer(to);
  if (!known) return refuse(over, unknownCluster(self.cluster, to), to);
  const hello = helloBytes(self, to, known);
  return [{ is: 'hello-awaited', role: 'dialler', self, to, hello }, [{ do: 'send', bytes: hello }]];
}

/** The listener's first step: it waits. */
export function listen(self: Self): HandshakeState {
  return { is: 'hello-awaited', role: 'listener', self };
}

/** Feeds one received message. Never throws: what cannot be read refuses the link with reason `protocol`. */
export function received(state: HandshakeState, bytes: Uint8Array, around: Surroundings): HandshakeStep {
  if (state.is === 'over') return [state, []];
  let greeting: ReturnType<typeof decodeGreeting>;
  try {
    greeting = decodeGreeting(bytes);
  } catch (thrown) {
    return refuse(state, {
      reason: 'protocol',
      sentence: `The other side does not speak Tombolo's link protocol: ${messageOf(thrown)} Check the address and the versions of both bridges.`,
    });
  }
  if (greeting.is === 'refusal') {
    const { from } = greeting;
    // Who was asked for a certificate is believed only what that proves.
    const peer = peerOf(state) ?? (from !== undefined && around.certificate?.(from) ? undefined : from);
    return [over, [{ do: 'refuse', refusal: greeting.refusal, by: 'peer', peer, proved: false }]];
  }
  if (state.is === 'hello-awaited') {
    if (greeting.is !== 'hello') return refuse(state, unexpected);
    return state.role === 'listener'
      ? listenerHeard(state, greeting.hello, bytes, around)
      : diallerHeard(state, greeting.hello, bytes, around);
  }
  if (greeting.is !== 'proof') return refuse(state, unexpected);
  return judged(state, greeting.proof, greeting.refusal, around);
}

/** This side dialled, and what the TLS handshake has shown rules a link out: only that is said, and no hello. */
export function turnAway(self: Pick<Self, 'cluster'>, to: string, refusal: Refusal): HandshakeStep {
  return [
    over,
    [
      { do: 'send', bytes: encodeGreeting({ is: 'refusal', refusal, from: self.cluster }) },
      { do: 'refuse', refusal, by: 'self', peer: to, proved: false },
    ],
  ];
}

/** Ten seconds have passed without an end. */
export function timedOut(state: HandshakeState): HandshakeStep {
  if (state.is === 'over') return [state, []];
  return refuse(state, {
    reason: 'timeout',
    sentence:
      'The handshake was not complete in time. Check that the other side is a Tombolo bridge and not overloaded.',
  });
}

type HelloAwaited<R extends Role = Role> = HandshakeState & { is: 'hello-awaited'; role: R };
type ProofAwaited = HandshakeState & { is: 'proof-awaited' };

function listenerHeard(
  state: HelloAwaited<'listener'>,
  peer: Hello,
  bytes: Uint8Array,
  around: Surroundings,
): HandshakeStep {
  const { self } = state;
  const objection = judgeHello(state, peer, around);
  if (objection) return refuse(state, objection, peer.cluster);
  if (around.accepting() === 'standby') {
    return refuse(state, { reason: 'standby', sentence: standbySentence(self) }, peer.cluster);
  }
  const own = helloBytes(self, peer.cluster, around.peer(peer.cluster)!);
  const version = commonVersion(self, peer)!;
  return [
    { is: 'proof-awaited', role: 'listener', self, peer, hellos: [copy(bytes), own], version },
    [{ do: 'send', bytes: own }],
  ];
}

function diallerHeard(
  state: HelloAwaited<'dialler'>,
  peer: Hello,
  bytes: Uint8Array,
  around: Surroundings,
): HandshakeStep {
  const { self } = state;
  const objection = judgeHello(state, peer, around);
  if (objection) return refuse(state, objection, peer.cluster);
  const known = around.peer(peer.cluster)!;
  const hellos = [state.hello, copy(bytes)] as const;
  const proof = prove(known.secrets[0] ?? '', 'dialler', hellos);
  const version = commonVersion(self, peer)!;
  return [
    { is: 'proof-awaited', role: 'dialler', self, peer, hellos, version },
    [{ do: 'send', bytes: encodeGreeting({ is: 'proof', proof, refusal: undefined }) }],
  ];
}

function judged(
  state: ProofAwaited,
  proof: Uint8Array,
  theirRefusal: Refusal | undefined,
  around: Surroundings,
): HandshakeStep {
  const { role, self, peer, hellos, version } = state;
  const known = around.peer(peer.cluster);
  if (!known) return refuse(state, unknownCluster(self.cluster, peer.cluster));
  if (!proves(proof, known.secrets, role === 'dialler' ? 'listener' : 'dialler', hellos)) {
    return refuse(state, {
      reason: 'secret',
      sentence: `Clusters ${quoted(peer.cluster)} and ${quoted(self.cluster)} do not hold the same secret. Give both files the same bridge.secret (or one per pair under bridge.peers); to change it, list the new and the old one on both sides first.`,
    });
  }
  const effects: HandshakeEffect[] = [];
  if (peer.seenIncarnation > self.incarnation) {
    effects.push({ do: 'report-seen', peer: peer.cluster, incarnation: peer.seenIncarnation });
  }
  if (theirRefusal) {
    effects.push({ do: 'refuse', refusal: theirRefusal, by: 'peer', peer: peer.cluster, proved: true });
    return [over, effects];
  }
  const objection = judgeIncarnation(state, known) ?? around.admit(peer, role);
  const own = role === 'listener' ? prove(matching(proof, state, known), 'listener', hellos) : undefined;
  if (own) {
    effects.push({ do: 'send', bytes: encodeGreeting({ is: 'proof', proof: own, refusal: objection }) });
  } else if (objection) {
    effects.push({ do: 'send', bytes: encodeGreeting({ is: 'refusal', refusal: objection }) });
  }
  effects.push(
    objection
      ? { do: 'refuse', refusal: objection, by: 'self', peer: peer.cluster, proved: true }
      : { do: 'accept', peer, version },
  );
  return [over, effects];
}

/** The secret by which the dialler proved itself: the listener answers with the same, so that both know it in a rotation. */
function matching(proof: Uint8Array, state: ProofAwaited, known: KnownPeer): string {
  return known.secrets.find((secret) => equal(prove(secret, 'dialler', state.hellos), proof)) ?? '';
}

function judgeHello(state: HelloAwaited, peer: Hello, around: Surroundings): Refusal | undefined {
  const { self } = state;
  // First: who cannot show who he is learns no more than that.
  const unproven = around.certificate?.(peer.cluster);
  if (unproven) return unproven;
  if (peer.network !== self.network) {
    return {
      reason: 'network',
      sentence: `Cluster ${quoted(peer.cluster)} is of network ${quoted(peer.network)}, cluster ${quoted(self.cluster)} of ${quoted(self.network)}. Check the address, or give both files the same network name.`,
    };
  }
  if (peer.cluster === self.cluster) {
    return {
      reason: 'identity',
      sentence: `Both sides say that they are cluster ${quoted(self.cluster)}. Check bridge.uris and --cluster: a bridge must not reach itself.`,
    };
  }
  if (state.role === 'dialler' && peer.cluster !== state.to) {
    return {
      reason: 'identity',
      sentence: `Cluster ${quoted(peer.cluster)} answered where ${quoted(state.to)} was dialled. Check bridge.uris of ${quoted(state.to)}.`,
    };
  }
  if (peer.to !== self.cluster) {
    return {
      reason: 'identity',
      sentence: `Cluster ${quoted(peer.cluster)} wanted to reach ${quoted(peer.to)}, but this is ${quoted(self.cluster)}. Check bridge.uris of ${quoted(peer.to)}.`,
    };
  }
  if (!around.peer(peer.cluster)) return unknownCluster(self.cluster, peer.cluster);
  if (commonVersion(self, peer) === undefined) {
    return {
      reason: 'version',
      sentence: `Cluster ${quoted(peer.cluster)} speaks versions ${peer.versions.join(' to ')} of the link protocol, cluster ${quoted(self.cluster)} ${self.versions.join(' to ')}. Upgrade the older bridge.`,
    };
  }
  return undefined;
}

function judgeIncarnation({ peer, self }: ProofAwaited, known: KnownPeer): Refusal | undefined {
  if (peer.incarnation < known.seenIncarnation) {
    return {
      reason: 'stale_incarnation',
      sentence: `Cluster ${quoted(peer.cluster)} came with incarnation ${peer.incarnation}, but ${known.seenIncarnation} has been seen. A newer master is or was at work; this one must take a higher incarnation.`,
    };
  }
  if (self.incarnation < peer.seenIncarnation) {
    return {
      reason: 'stale_incarnation',
      sentence: `Cluster ${quoted(self.cluster)} has incarnation ${self.incarnation}, but ${quoted(peer.cluster)} has seen ${peer.seenIncarnation}. It takes a higher incarnation and tries again.`,
    };
  }
  return undefined;
}

function refuse(state: HandshakeState, refusal: Refusal, peer = peerOf(state)): HandshakeStep {
  return [
    over,
    [
      { do: 'send', bytes: encodeGreeting({ is: 'refusal', refusal }) },
      { do: 'refuse', refusal, by: 'self', peer, proved: false },
    ],
  ];
}

const unexpected: Refusal = {
  reason: 'protocol',
  sentence: 'A greeting came out of turn. Check the versions of both bridges.',
};

function unknownCluster(self: string, peer: string): Refusal {
  return {
    reason: 'unknown_cluster',
    sentence: `Cluster ${quoted(self)} has no networkConnector with cluster ${quoted(peer)}. Add one to its topology file, or correct the cluster's name.`,
  };
}

function standbySentence(self: Self): string {
  return `Bridge ${quoted(self.instance)} of cluster ${quoted(self.cluster)} is a standby: the master is at another of its addresses, and bridge.uris has to list them all.`;
}

function commonVersion(self: Self, peer: Hello): number | undefined {
  const highest = Math.min(self.versions[1], peer.versions[1]);
  return highest >= self.versions[0] && highest >= peer.versions[0] ? highest : undefined;
}

function helloBytes(self: Self, to: string, known: KnownPeer): Uint8Array {
  const { network, cluster, instance, life, attempt, versions, incarnation, nonce } = self;
  const { seenIncarnation } = known;
  const hello = { network, cluster, instance, to, life, attempt, versions, incarnation, seenIncarnation, nonce };
  return encodeGreeting({ is: 'hello', hello });
}

function prove(secret: string, role: Role, hellos: readonly [Uint8Array, Uint8Array]): Uint8Array {
  const hmac = createHmac('sha256', secret).update(`tombolo link 1 ${role}\n`);
  for (const hello of hellos) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(hello.length);
    hmac.update(length).update(hello);
  }
  return hmac.digest();
}

function proves(
  proof: Uint8Array,
  secrets: readonly string[],
  role: Role,
  hellos: readonly [Uint8Array, Uint8Array],
): boolean {
  // All are tried, whichever fits: the time taken says nothing.
  let proved = false;
  for (const secret of secrets) proved = equal(prove(secret, role, hellos), proof) || proved;
  return proved;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function peerOf(state: HandshakeState): string | undefined {
  if (state.is === 'proof-awaited') return state.peer.cluster;
  return state.is === 'hello-awaited' && state.role === 'dialler' ? state.to : undefined;
}

function copy(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}

function quoted(name: string): string {
  return `'${name.length > 60 ? `${name.slice(0, 60)}…` : name}'`;
}

/** Refusals that waiting does not cure: an operator has to change something. */
export function needsOperator(reason: RefusalReason): boolean {
  return !['standby', 'stale_incarnation', 'duplicate', 'timeout', 'busy'].includes(reason);
}
