import { Fault } from '@tombolo/kernel/fault';

/**
 * The value of a binding's argument, as far as it can be seen from outside the broker: RabbitMQ's management API speaks JSON.
 * So all integer and float types are one `number`, a timestamp is one too, and `null` stands for a value that is not known
 * or void. What follows from it is said at `captureBinding`.
 */
export type ArgumentValue =
  | string
  | number
  | boolean
  | null
  | readonly ArgumentValue[]
  | { readonly [name: string]: ArgumentValue };

export type BindingArguments = { readonly [name: string]: ArgumentValue };

/** What takes messages of an exchange, whoever is bound: two queues bound alike are one binding (conduit). */
export interface Binding {
  readonly routingKey: string;
  readonly arguments: BindingArguments;
}

/**
 * The binding as text: the same for equal bindings, whatever the order of their arguments, and different for different
 * ones. This is how bindings are compared and how they travel.
 */
export function bindingText({ routingKey, arguments: args }: Binding): string {
  const key = JSON.stringify(routingKey);
  for (const _ in args) return `[${key},${canonical(args)}]`;
  return `[${key}]`;
}

/**
 * Reads what `bindingText` wrote.
 * @throws Fault TOMBOLO_FRAME_INVALID for anything else
 */
export function readBinding(text: string): Binding {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(cause);
  }
  if (!Array.isArray(value) || value.length > 2 || typeof value[0] !== 'string') throw invalid();
  const args: unknown = value[1] ?? {};
  if (typeof args !== 'object' || Array.isArray(args)) throw invalid();
  const binding = { routingKey: value[0], arguments: args as BindingArguments };
  // Another spelling of the same binding would be another member of a set.
  if (bindingText(binding) !== text) throw invalid();
  return binding;
}

function invalid(cause?: unknown): Fault {
  return new Fault('TOMBOLO_FRAME_INVALID', 'A binding in a frame is not what bindings are written as.', { cause });
}

function canonical(value: ArgumentValue): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = Object.keys(value).sort();
  return `{${fields.map((name) => `${JSON.stringify(name)}:${canonical(value[name]!)}`).join(',')}}`;
}

function isList(value: ArgumentValue): value is readonly ArgumentValue[] {
  return Array.isArray(value);
}
