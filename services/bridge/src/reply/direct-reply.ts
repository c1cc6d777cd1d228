/*
 * RabbitMQ's direct reply-to: a requester consumes the pseudo-queue `amq.rabbitmq.reply-to` and puts that name into `reply-to`;
 * the broker delivers the request with
 *
 *   amq.rabbitmq.reply-to.<base64 of the requester's channel>.<base64 of a key>
 *
 * instead (91 bytes with a node hash of 8 digits, whatever the node is called), the same for all requests of that consumer. To publish
 * with this routing key to the default exchange, on any connection, answers it. Facts that were tried on 3.10.8 and are pinned in
 * test/broker/direct-reply.test.ts:
 *
 * - Such a publish is confirmed and, when mandatory, *always returned*, delivered or not: no queue took it. (Read, not tried: from 4.2
 *   on, where rabbit_volatile_queue is a target of routing, it is not returned, even when the requester has gone.) So `returned`
 *   tells nothing about the requester.
 * - A channel that the broker cannot decode, or whose node does not run in this cluster, ends the *connection* of the publisher,
 *   and of who declares it passively, with 541 INTERNAL_ERROR (rabbitmq-server#3751). So a direct reply-to that crosses a link as
 *   it is kills the replier's connection, and what a client may have written itself must not be published to unseen.
 * - A message whose `reply-to` is the bare pseudo-queue closes the channel of a publisher that does not consume it, with 406.
 */

/** The pseudo-queue itself, as a requester names it. */
export const directReplyQueue = 'amq.rabbitmq.reply-to';
const prefix = `${directReplyQueue}.`;

/** True for what RabbitMQ delivers as the `reply-to` of a direct reply, and for whatever else it would take for one. */
export function isDirectReply(address: string): boolean {
  return address.startsWith(prefix);
}

/**
 * True when a direct reply can be published to this address without the broker failing to decode it. Whether the requester's
 * node still runs cannot be seen: publish where the end of a connection harms nothing else.
 */
export function isSoundDirectReply(address: string): boolean {
  if (!isDirectReply(address)) return false;
  const [channel = '', key = '', ...more] = address.slice(prefix.length).split('.');
  if (more.length > 0 || key === '') return false;
  const bytes = Buffer.from(channel, 'base64');
  return bytes.toString('base64') === channel && isChannel(bytes);
}

/** An Erlang pid in the external term format, of the node `reply@<hash>`: so it is made by 3.10, and still by 4.x. */
function isChannel(bytes: Buffer): boolean {
  const [version, tag, atom] = bytes;
  if (version !== 131) return false;
  const rest = tag === 88 ? 12 : 9; // NEW_PID_EXT, or PID_EXT with a creation of one byte
  if (tag !== 88 && tag !== 103) return false;
  const start = atom === 118 ? 5 : 4; // ATOM_UTF8_EXT, or SMALL_ATOM_UTF8_EXT with a length of one byte
  if ((atom !== 118 && atom !== 119) || bytes.length < start + rest) return false;
  const length = atom === 118 ? bytes.readUInt16BE(3) : bytes[3]!;
  if (bytes.length !== start + length + rest) return false;
  return /^reply@\d{1,10}$/.test(bytes.toString('latin1', start, start + length));
}
