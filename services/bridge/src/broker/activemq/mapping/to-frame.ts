import { deliveryMode } from '@tombolo/wire/properties';

/** The header that carries AMQP properties as they are. */
export const carried = 'x_tombolo_properties';

/** A message as ActiveMQ is given it: the headers of SEND, and the body. */
export function toFrame(
  {
    exchange,
    routingKey,
    properties,
    body,
  }: {
    readonly exchange: string;
    readonly routingKey: string;
    readonly properties: Uint8Array;
    readonly body: Uint8Array;
  },
  _nowMs: number,
): { readonly headers: readonly (readonly [string, string])[]; readonly body: Uint8Array } {
  const headers: [string, string][] = [
    ['destination', `/${exchange === '' ? 'queue' : 'topic'}/${routingKey}`],
    ['content-length', String(body.length)],
    [carried, Buffer.from(properties).toString('base64')],
  ];
  if (deliveryMode(properties) === 2) headers.push(['persistent', 'true']);
  return { headers, body };
}
