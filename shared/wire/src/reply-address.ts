import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/*
 * The address under which a requester of another cluster is answered: the name of a queue beside the replier.
 *
 *   tombolo.reply.<origin>.<token>
 *
 * `origin` is the cluster of the requester; the token is base64url, without padding and without a dot, of
 *
 *   u8 form · u32 expiry, minutes since 1970 · body · 16 bytes of HMAC-SHA-256 over all that stands before them
 *
 * Form 1: the body is the requester's own address. Form 2: the address is too long for the 255 bytes of a short string, the body
 * is a key to what the origin remembers. Everybody can read origin and expiry; only who has the origin's secret can write them.
 */

/** With this every reply address begins, and with it every queue that is one. */
export const replyPrefix = 'tombolo.reply.';

/** A short string of AMQP holds no more. */
export const longestAddress = 255;

const MAC_BYTES = 16;
const HEAD_BYTES = 5;
const KEY_BYTES = 12;
const MINUTE_MS = 60_000;

/** What a reply address says of itself; nothing of it is verified. */
export interface ReplyAddress {
  /** The cluster of the requester. */
  readonly origin: string;
  /** Milliseconds since 1970, a whole minute. */
  readonly expiresAt: number;
  /** Where the reply goes there; or, as bytes, the key to what the origin remembers of it. */
  readonly target: { readonly address: string } | { readonly key: string };
}

/**
 * The keys with which a cluster signs reply addresses (with the first) and verifies them (with any), so that a secret can be
 * replaced while answers are under way. Derived by HKDF from the cluster's own secrets: the same after a restart, and for every
 * bridge beside it. Who knows the secret can sign: where the whole network shares one, that is every bridge of the network.
 * Without any secret the key follows from names that are no secret, and then protects against accidents only.
 */
export function replyKeys(own: {
  readonly network: string;
  readonly cluster: string;
  readonly secrets: readonly string[];
}): readonly Uint8Array[] {
  const { network, cluster, secrets } = own;
  const named = `tombolo reply 1\n${network}\n${cluster}`;
  return (secrets.length > 0 ? secrets : ['']).map(
    (secret) => new Uint8Array(hkdfSync('sha256', secret, '', named, 32)),
  );
}

/** The key under which the origin remembers an address that is too long. The same for the same address. */
export function replyKeyOf(keys: readonly Uint8Array[], address: string): string {
  return createHmac('sha256', keys[0]!)
    .update('long address\n')
    .update(address)
    .digest()
    .toString('base64url', 0, KEY_BYTES);
}

/**
 * The signed name, always the same for the same address and expiry; undefined when it would be longer than a short string of
 * AMQP. An address of up to 111 bytes fits whatever the cluster is called.
 */
export function signedReplyAddress(keys: readonly Uint8Array[], said: ReplyAddress): string | undefined {
  const { origin, expiresAt, target } = said;
  const body = 'address' in target ? Buffer.from(target.address) : Buffer.from(target.key, 'base64url');
  const token = Buffer.alloc(HEAD_BYTES + body.length + MAC_BYTES);
  token[0] = 'address' in target ? 1 : 2;
  token.writeUInt32BE(Math.floor(expiresAt / MINUTE_MS), 1);
  token.set(body, HEAD_BYTES);
  token.set(mac(keys[0]!, origin, token), HEAD_BYTES + body.length);
  const name = `${replyPrefix}${origin}.${token.toString('base64url')}`;
  return Buffer.byteLength(name) <= longestAddress ? name : undefined;
}

/** What a name says that has the form of a reply address, signed or not; undefined for every other name. */
export function replyAddressOf(name: string): ReplyAddress | undefined {
  const parts = partsOf(name);
  if (!parts) return undefined;
  const { origin, token } = parts;
  const body = token.subarray(HEAD_BYTES, token.length - MAC_BYTES);
  const expiresAt = token.readUInt32BE(1) * MINUTE_MS;
  if (token[0] === 2) return { origin, expiresAt, target: { key: body.toString('base64url') } };
  const address = body.toString('utf8');
  return Buffer.from(address).equals(body) ? { origin, expiresAt, target: { address } } : undefined;
}

/** Whether one of these keys has signed the name. All are tried and compared in constant time: the time taken says nothing. */
export function isSignedReplyAddress(name: string, keys: readonly Uint8Array[]): boolean {
  const parts = partsOf(name);
  if (!parts) return false;
  const { origin, token } = parts;
  const given = token.subarray(token.length - MAC_BYTES);
  let signed = false;
  for (const key of keys) signed = timingSafeEqual(given, mac(key, origin, token)) || signed;
  return signed;
}

/** Exactly one spelling is taken for a token: a base64 decoder forgives what a signature must not. */
function partsOf(name: string): { origin: string; token: Buffer } | undefined {
  if (!name.startsWith(replyPrefix) || name.length > longestAddress) return undefined;
  const dot = name.lastIndexOf('.');
  const origin = name.slice(replyPrefix.length, dot);
  const token = Buffer.from(name.slice(dot + 1), 'base64url');
  if (dot < replyPrefix.length || origin === '' || token.length <= HEAD_BYTES + MAC_BYTES) return undefined;
  if (token.toString('base64url') !== name.slice(dot + 1) || (token[0] !== 1 && token[0] !== 2)) return undefined;
  return { origin, token };
}

function mac(key: Uint8Array, origin: string, token: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(`${origin}\n`)
    .update(token.subarray(0, token.length - MAC_BYTES))
    .digest()
    .subarray(0, MAC_BYTES);
}
