/**
 * What ActiveMQ 5.17.2 makes of a SEND frame for the MESSAGE frame that consumers get (FrameTranslator.Helper,
 * LegacyFrameTranslator). test/broker/activemq-mapping.test.ts holds it against a real one.
 */
export function shownByBroker(
  sent: ReadonlyMap<string, string>,
  { redelivered = false }: { readonly redelivered?: boolean } = {},
): Map<string, string> {
  const taken = ['receipt', 'transaction', 'message-id', 'redelivered', 'subscription', 'JMSXUserID'];
  const hidden = ['JMSXGroupID', 'JMSXGroupSeq'];
  const shown = new Map([...sent].filter(([name]) => ![...taken, ...hidden].includes(name)));
  shown.set('message-id', 'ID:broker-1:1:1:1');
  shown.set('subscription', '1');
  shown.set('ack', redelivered ? 'ack-2' : 'ack-1');
  if (redelivered) shown.set('redelivered', 'true');
  shown.set('expires', sent.get('expires') ?? '0');
  shown.set('timestamp', sent.get('timestamp') ?? '1700000000000');
  shown.set('priority', sent.get('priority') ?? '4');
  if (sent.get('persistent') !== 'true') shown.delete('persistent');
  // Java's maps keep no order.
  return new Map([...shown].reverse());
}
