import {
  isSignedReplyAddress,
  type ReplyAddress,
  replyAddressOf,
  replyKeyOf,
  replyKeys,
  replyPrefix,
  signedReplyAddress,
} from '@tombolo/wire/reply-address';
import { withReplyTo } from '@tombolo/wire/reply-properties';
import { directReplyQueue, isDirectReply, isSoundDirectReply } from './direct-reply.ts';

/** What the origin makes of a reply that was sent to a reply address. */
export type ReplyVerdict =
  /** To be published to the default exchange with this routing key. */
  | {
      readonly is: 'ok';
      readonly address: string;
      /** A direct reply: it may end the connection that it is published by, and `returned` would tell nothing (see direct-reply.ts). */
      readonly direct: boolean;
    }
  | { readonly is: 'expired' }
  /** Not signed with any secret of this cluster, or not a reply address at all. */
  | { readonly is: 'forged' }
  /** Signed, but what it stands for is no longer remembered: a long address, and this bridge was restarted since. */
  | { readonly is: 'unknown' }
  /** Signed, but nothing that a broker could be given: a client's own invention. */
  | { readonly is: 'unsound' }
  | { readonly is: 'not-ours'; readonly origin: string };

/** Why a reply is dropped, as `tombolo_replies_dropped_total` has it. */
export type ReplyDrop = 'late' | 'expired' | 'forged' | 'unroutable';

export interface ReplyOriginOptions {
  readonly network: string;
  /** The own cluster. */
  readonly cluster: string;
  /** `bridge.secret`: addresses are signed with the first, and verified with any. */
  readonly secrets: readonly string[];
  /** How long an address is valid at least, ms, whole minutes; the expiry is rounded up to a multiple of itself, so that it is valid for up to twice as long. */
  readonly validMs?: number;
  /** Requesters that are remembered at most: the signature of each, and what is behind a short key. */
  readonly largest?: number;
}

/** Half an hour: together with the rounding, 30 to 60 minutes. */
export const replyValidMs = 30 * 60_000;
const LARGEST = 10_000;

/**
 * The origin's side of request and reply: rewrites the `reply-to` of requests that leave its cluster, and verifies the addresses
 * to which replies come home. Pure, but for what it remembers; wall-clock time is passed in, for an address outlives processes.
 *
 * What is rewritten: every `reply-to`, whatever it names. A temporary queue and a direct reply-to mean nothing elsewhere (a direct
 * reply-to even ends a foreign replier's connection). A durable queue too, although one of that name may exist beside the
 * replier and be bridged: the requester waits at the origin, so its reply belongs there; once there, it is a message of that queue
 * as any other and follows demand. The price is that a reply must come before its address expires.
 *
 * What is not: an absent or empty one; one that begins with `tombolo.`: a reply address keeps the origin that it has, however far
 * the request travels and whichever way it comes, and no reply is to reach a bridge's own queues; one that is not UTF-8.
 * `exchange/key` and other spellings of frameworks are taken for names of queues.
 *
 * Addresses too long for 255 bytes (more than 111 to 158, by the length of the cluster's name) are remembered here under a short key,
 * in memory. A restart forgets them, and so does a bound; what was asked before is then answered in vain (`unknown`), until the
 * same requester sends its next request: its key is the same, so that also makes older addresses good again.
 */
export class ReplyOrigin {
  readonly #network: string;
  readonly #cluster: string;
  #keys: readonly Uint8Array[];
  readonly #validMs: number;
  readonly #largest: number;
  /** The address made for each requester, the least recently used first. */
  readonly #made = new Map<string, Made>();
  /** Long addresses by their key, the least recently used first. */
  readonly #long = new Map<string, string>();

  constructor(options: ReplyOriginOptions) {
    this.#network = options.network;
    this.#cluster = options.cluster;
    this.#keys = replyKeys(options);
    this.#validMs = options.validMs ?? replyValidMs;
    this.#largest = options.largest ?? LARGEST;
  }

  /** Addresses are signed with the first of these from now on, and verified with any. */
  setSecrets(secrets: readonly string[]): void {
    this.#keys = replyKeys({ network: this.#network, cluster: this.#cluster, secrets });
    this.#made.clear();
  }

  /** For `forwardedProperties`: what a request's `reply-to` becomes on its way out; undefined: it stays. */
  rewriter(wallNow: number): (address: string) => string | undefined {
    const expiresAt = Math.ceil((wallNow + this.#validMs) / this.#validMs) * this.#validMs;
    return (address) => this.#rewritten(address, expiresAt);
  }

  /** What is to be done with a reply that was sent to `name`. */
  judge(name: string, wallNow: number): ReplyVerdict {
    const said = replyAddressOf(name);
    if (!said) return { is: 'forged' };
    if (said.origin !== this.#cluster) return { is: 'not-ours', origin: said.origin };
    if (!isSignedReplyAddress(name, this.#keys)) return { is: 'forged' };
    if (said.expiresAt <= wallNow) return { is: 'expired' };
    const address = this.#original(said);
    if (address === undefined) return { is: 'unknown' };
    const direct = isDirectReply(address);
    return direct && !isSoundDirectReply(address) ? { is: 'unsound' } : { is: 'ok', address, direct };
  }

  /**
   * The properties of a request that has come home (it found no consumer elsewhere, say), or of one that is parked here: its
   * `reply-to` is the requester's again, since no queue of the reply address exists at the origin. Expired or not, whoever takes the
   * message here may answer it. Others are given back as they are, the very same array.
   * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
   */
  restored(properties: Uint8Array): Uint8Array {
    return withReplyTo(properties, (name) => {
      const said = replyAddressOf(name);
      if (said?.origin !== this.#cluster || !isSignedReplyAddress(name, this.#keys)) return undefined;
      const address = this.#original(said);
      return address === directReplyQueue ? undefined : address;
    });
  }

  #original({ target }: ReplyAddress): string | undefined {
    return 'address' in target ? target.address : this.#long.get(target.key);
  }

  #rewritten(address: string, expiresAt: number): string | undefined {
    if (address.startsWith('tombolo.')) return undefined;
    const known = this.#made.get(address);
    const made = known?.expiresAt === expiresAt ? known : this.#make(address, expiresAt);
    remember(this.#made, address, made, this.#largest);
    if (made.key !== undefined) remember(this.#long, made.key, address, this.#largest);
    return made.name;
  }

  #make(address: string, expiresAt: number): Made {
    const origin = this.#cluster;
    const whole = signedReplyAddress(this.#keys, { origin, expiresAt, target: { address } });
    if (whole !== undefined) return { expiresAt, name: whole, key: undefined };
    const key = replyKeyOf(this.#keys, address);
    return { expiresAt, name: signedReplyAddress(this.#keys, { origin, expiresAt, target: { key } }), key };
  }
}

interface Made {
  readonly expiresAt: number;
  readonly name: string | undefined;
  /** Of an address that does not fit into its name. */
  readonly key: string | undefined;
}

/** True for a name that is reserved for reply addresses, valid or not. */
export function isReplyName(name: string): boolean {
  return name.startsWith(replyPrefix);
}

/** How a verdict that is not `ok` is counted. */
export function dropOf(verdict: Exclude<ReplyVerdict, { is: 'ok' }>): ReplyDrop {
  switch (verdict.is) {
    case 'expired':
    case 'forged':
      return verdict.is;
    case 'unknown':
    case 'unsound':
    case 'not-ours':
      return 'unroutable';
    default:
      throw new Error(`unexpected ${verdict satisfies never}`);
  }
}

/** Puts an entry last, and lets the first go when there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value, largest: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > largest) map.delete(map.keys().next().value!);
}
