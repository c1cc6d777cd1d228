import type { Binding } from '@tombolo/wire/binding';
import { bindingMatches } from '@tombolo/wire/binding-match';
import type { ExchangeBinding } from '../broker/port.ts';

/** A message as a buffer gives it: `exchange` is the one that it was published to, whichever exchange the buffer is bound to. */
export interface Captured {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
}

/** An exchange that is captured for a sink, and what its buffer is bound with. */
export interface CapturedExchange {
  readonly type: string;
  readonly bindings: readonly Binding[];
}

/**
 * Whether a message in the buffer of `heldBy` is forwarded from the buffer of another exchange of the same sink, so that
 * this copy is to be acknowledged and no more. Exchanges that are bound to exchanges let several buffers capture one message;
 * it is forwarded from that of the exchange it was published to, if that one captures it, else from the first by name.
 *
 * The answer is made from what is bound now, the copies from what was bound then. So `captures` and `routes` must only name what
 * was bound before the message can have been published (a binding that is younger than the oldest message in the buffer is left
 * out): too few are a duplicate, too many a loss. For the same reason nothing is held to be forwarded elsewhere when what is
 * known does not explain how the message came here.
 * @param captures the exchanges that have a buffer for this sink, by name
 * @param routes bindings of exchanges to exchanges at this broker
 * @throws Fault TOMBOLO_FRAME_INVALID when headers decide and the properties are malformed
 */
export function isForwardedElsewhere(
  message: Captured,
  heldBy: string,
  captures: ReadonlyMap<string, CapturedExchange>,
  routes: readonly ExchangeBinding[],
): boolean {
  // Nearly always, and the cheapest answer.
  if (message.exchange === heldBy) return false;
  if (takes(captures.get(message.exchange), message)) return true;
  const captors = [...reached(message, routes)].filter((exchange) => takes(captures.get(exchange), message)).sort();
  return captors.includes(heldBy) && captors[0] !== heldBy;
}

function takes(captured: CapturedExchange | undefined, message: Captured): boolean {
  return captured?.bindings.some((binding) => bindingMatches(captured.type, binding, message)) ?? false;
}

/** The exchanges that the message came to, the one that it was published to among them. */
function reached(message: Captured, routes: readonly ExchangeBinding[]): ReadonlySet<string> {
  const exchanges = new Set([message.exchange]);
  // An exchange that is added while the loop runs is visited by it, too.
  for (const exchange of exchanges) {
    for (const { from, type, to, binding } of routes) {
      if (from === exchange && bindingMatches(type, binding, message)) exchanges.add(to);
    }
  }
  return exchanges;
}
