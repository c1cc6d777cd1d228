import { type ArgumentValue, type Binding, bindingText } from '@tombolo/wire/binding';

/** Exchange types whose bindings a buffer may share without changing what the others get. */
const capturable = ['direct', 'fanout', 'topic', 'headers'] as const;

/** Why nothing can be captured from an exchange of this type, or undefined. */
export function captureRefusal(type: string): string | undefined {
  if (capturable.some((known) => known === type)) return undefined;
  return `exchanges of type ${type} are not bridged: a buffer bound to one could take messages away from others (bridged are ${capturable.join(', ')})`;
}

/**
 * What a buffer is bound with, so that it takes every message that this binding of a sink takes; what it takes beyond that
 * is sorted out by the sink's own exchange. Exchanges do not look at arguments, or not at the key, so that many bindings may be
 * one. A headers exchange compares types, too, which are not known of numbers (see ArgumentValue): the header has to be there,
 * with whatever value.
 */
export function captureBinding(type: string, { routingKey, arguments: args }: Binding): Binding {
  switch (type) {
    case 'fanout':
      return { routingKey: '', arguments: {} };
    case 'headers':
      return {
        routingKey: '',
        arguments: Object.fromEntries(
          Object.entries(args).map(([name, value]) => [name, isComparable(value) ? value : null]),
        ),
      };
    default:
      return { routingKey, arguments: {} };
  }
}

/** What a buffer of an exchange of this type is bound with for all these bindings of its sink: each once. */
export function bufferBindings(type: string, bindings: Iterable<Binding>): Binding[] {
  const union = new Map<string, Binding>();
  for (const binding of bindings) {
    const capture = captureBinding(type, binding);
    union.set(bindingText(capture), capture);
  }
  return [...union.values()];
}

/**
 * What has to be done to a buffer that is bound with `present`. First bind, then unbind: where a wide binding takes the place of
 * narrow ones nothing may be missed.
 */
export function rebinding(
  wanted: readonly Binding[],
  present: readonly Binding[],
): { readonly bind: readonly Binding[]; readonly unbind: readonly Binding[] } {
  return { bind: without(wanted, present), unbind: without(present, wanted) };
}

function without(bindings: readonly Binding[], others: readonly Binding[]): Binding[] {
  const left = new Map(bindings.map((binding) => [bindingText(binding), binding]));
  for (const other of others) left.delete(bindingText(other));
  return [...left.values()];
}

/** Text and truth have one type each. */
function isComparable(value: ArgumentValue): boolean {
  return typeof value === 'string' || typeof value === 'boolean';
}
