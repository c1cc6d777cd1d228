import { clusterName, type Fields, fields, invalid, list, octets, optional, text, whole } from './fields.ts';
import { limits } from './limits.ts';
import { pack, unpack } from './message-pack.ts';

/** What each side says first. Nothing in it is secret, and nothing in it is believed before the proof. */
export interface Hello {
  readonly network: string;
  readonly cluster: string;
  readonly instance: string;
  /** The cluster that the dialler wants to reach; the listener repeats who it takes the dialler for. */
  readonly to: string;
  /** One process's life: a random name, so that a newer connection of the same process is told from another process. */
  readonly life: string;
  /** Counts the connections that this life has begun to the peer. */
  readonly attempt: number;
  /** Lowest and highest version of the link protocol that this side speaks. */
  readonly versions: readonly [lowest: number, highest: number];
  readonly incarnation: number;
  /** The highest incarnation of the *other* cluster that this side has ever seen; 0 when none. */
  readonly seenIncarnation: number;
  /** 32 random bytes, fresh for each connection. */
  readonly nonce: Uint8Array;
}

/**
 * Why a link is refused. `secret`, `identity`, `certificate`, `tls` (one side speaks it, the other does not), `network`, `unknown_cluster`
 * and `version` need an operator; the others pass.
 */
export const refusalReasons = [
  'network',
  'unknown_cluster',
  'identity',
  'certificate',
  'tls',
  'version',
  'secret',
  'standby',
  'stale_incarnation',
  'duplicate',
  'protocol',
  'timeout',
  'busy',
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export interface Refusal {
  readonly reason: RefusalReason;
  /** A sentence that says what to do. It is shown on both sides. */
  readonly sentence: string;
}

export type Greeting =
  | { readonly is: 'hello'; readonly hello: Hello }
  /** HMAC over both hellos; `refusal` comes with the listener's proof when the dialler must be told something it can believe. */
  | { readonly is: 'proof'; readonly proof: Uint8Array; readonly refusal: Refusal | undefined }
  /** `from`: the cluster that refuses, when it has not said hello; nobody proves that. */
  | { readonly is: 'refusal'; readonly refusal: Refusal; readonly from?: string };

/*
 * A greeting as bytes: u8 format (1) · u8 kind (240 hello, 241 proof, 242 refusal) · MessagePack map. At most 16 KiB.
 */
const format = 1;
const codes = { hello: 240, proof: 241, refusal: 242 } as const;

/** Encodes a greeting. The bytes of a hello are what both proofs are made over. */
export function encodeGreeting(greeting: Greeting): Uint8Array {
  const { is, ...rest } = greeting;
  const head = pack(greeting.is === 'hello' ? greeting.hello : rest);
  return Buffer.concat([Buffer.from([format, codes[is]]), head]);
}

/**
 * Decodes a greeting.
 * @throws Fault TOMBOLO_FRAME_INVALID for anything that is not a sound greeting
 */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  if (bytes.length > limits.greetingBytes) invalid('a greeting is larger than 16 KiB');
  if (bytes.length < 2 || bytes[0] !== format) invalid('it is not a greeting of a Tombolo bridge');
  const head = { head: unpack(bytes.subarray(2)) };
  switch (bytes[1]) {
    case codes.hello:
      return { is: 'hello', hello: readHello(head) };
    case codes.proof: {
      const map = fields(head, 'head');
      const refusal = optional(map, 'refusal', readRefusal);
      return { is: 'proof', proof: octets(map, 'proof', 64), refusal };
    }
    case codes.refusal: {
      const map = fields(head, 'head');
      const from = optional(map, 'from', clusterName);
      return { is: 'refusal', refusal: readRefusal(map, 'refusal'), ...(from !== undefined && { from }) };
    }
    default:
      return invalid('it is not a greeting');
  }
}

function readHello(from: { readonly head: unknown }): Hello {
  const head = fields(from, 'head');
  const [lowest, highest] = list(head, 'versions', 2, whole);
  if (lowest === undefined || highest === undefined) invalid('versions are not two numbers');
  const nonce = octets(head, 'nonce', 32);
  if (nonce.length !== 32) invalid('a nonce is too short');
  return {
    network: text(head, 'network', 255),
    cluster: clusterName(head, 'cluster'),
    instance: text(head, 'instance', 255),
    to: clusterName(head, 'to'),
    life: text(head, 'life', 64),
    attempt: whole(head, 'attempt'),
    versions: [lowest, highest],
    incarnation: whole(head, 'incarnation'),
    seenIncarnation: whole(head, 'seenIncarnation'),
    nonce,
  };
}

function readRefusal(from: Fields, name: string): Refusal {
  const refusal = fields(from, name);
  const given = text(refusal, 'reason', 64);
  const reason = refusalReasons.find((each) => each === given);
  // A reason of a newer version: its sentence still tells.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a stranger says goes to a log and a terminal
  const sentence = text(refusal, 'sentence', limits.reasonBytes).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  return { reason: reason ?? 'protocol', sentence };
}
