/**
 * A message as it travels: the body and the properties as bytes, in the encoding of AMQP 0-9-1's content header
 * (property flags, then the present properties; specification 4.2.6.1, field types as RabbitMQ writes them).
 * RabbitMQ's adapter passes both through untouched; other adapters translate. Nothing is decoded on the way that
 * does not have to be, so every field type survives.
 */
export interface Envelope {
  /** Exchange and routing key by which the message reached its queue at the source. */
  readonly exchange: string;
  readonly routingKey: string;
  /** Property flags and property list, without class id, weight and body size. */
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/**
 * Identity of a message for the in-doubt record: 16 bytes over exchange, routing key, properties and body as delivered
 * at the source, before any rewriting; `hasId` says whether the sender had set a message id.
 */
export interface Identity {
  readonly digest: Uint8Array;
  readonly hasId: boolean;
}
