import type { Surroundings } from '../surroundings.ts';
import type { StompConnection } from './connection.ts';
import { mayHideBody } from './mapping/to-envelope.ts';
import { encodeFrame, type StompFrame } from './stomp-codec.ts';

/**
 * Those messages that the broker shows completely. The others it has to keep: NACK moves them as they are to its own dead letter queue,
 * while to acknowledge one would destroy what was not seen of it.
 * @param from the queue or topic that they come from, for the log
 */
export function leaveHidden(
  messages: readonly StompFrame[],
  connection: StompConnection,
  log: Surroundings['log'],
  from: { readonly queue: string } | { readonly topic: string },
): readonly StompFrame[] {
  const hidden = messages.filter(({ headers, body }) => mayHideBody(headers, body));
  if (hidden.length === 0) return messages;
  const ids = hidden.map(({ headers }) => headers.get('ack') ?? '');
  connection.write(Buffer.concat(ids.map((id) => encodeFrame('NACK', [['id', id]]))));
  log.warn(
    {
      ...from,
      messages: hidden.length,
      messageId: hidden[0]?.headers.get('message-id'),
      advice:
        'STOMP does not show the bodies of Map, Object and Stream messages: exclude this destination, or send texts or bytes.',
    },
    'messages without a visible body are left to the broker, in its dead letter queue',
  );
  return messages.filter((message) => !hidden.includes(message));
}
