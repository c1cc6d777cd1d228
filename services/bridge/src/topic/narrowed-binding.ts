import { selects } from '@tombolo/topology/filter';
import { covers, overlaps } from '@tombolo/topology/pattern';
import type { Connector } from '@tombolo/topology/topology';
import type { Binding } from '@tombolo/wire/binding';

/**
 * What a buffer of the keyed exchange has to be bound with for a binding of its sink: no key that the connector's filters would not let
 * pass, and, for a subscriber of everything, what the connector includes. Where both overlap in part it is the binding, and
 * messages are sorted out one by one.
 */
export function narrowedBinding(connector: Connector, binding: Binding): readonly Binding[] {
  const { routingKey } = binding;
  if (!/[*#]/.test(routingKey)) {
    return selects(connector, { kind: 'topic', name: routingKey }).permitted ? [binding] : [];
  }
  const topic = topicOf(routingKey);
  if (topic === undefined) return [binding];
  const included = connector.dynamicallyIncluded
    .filter(({ kind, pattern }) => kind === 'topic' && overlaps(pattern, topic))
    .map(({ pattern }) => pattern);
  if (included.some((pattern) => covers(pattern, topic)) || !included.every((pattern) => covers(topic, pattern))) {
    return [binding];
  }
  return included.map((pattern) => ({ routingKey: keyOf(pattern), arguments: {} }));
}

/** The wildcard that means what the key means; undefined: there is none. */
function topicOf(key: string): string | undefined {
  const words = key.split('.');
  if (words.includes('>') || words.slice(0, -1).includes('#')) return undefined;
  return [...words.slice(0, -1), words.at(-1) === '#' ? '>' : words.at(-1)].join('.');
}

function keyOf(topic: string): string {
  return topic.replace(/(^|\.)>(\.>)*$/, '$1#');
}
