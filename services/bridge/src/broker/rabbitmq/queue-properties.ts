import type { QueueProperties } from '@tombolo/wire/frame';
import type { QueueDeclaration } from '../port.ts';

/** What the management API tells of a queue; `bytes` are of all its messages, and may be seconds old. */
export interface QueueFacts {
  readonly properties: QueueProperties;
  readonly bytes?: number;
  /** How often a message may come back to a quorum queue; Infinity: as often as it likes, absent: what the broker has for default. */
  readonly deliveryLimit?: number;
}

/** A queue as the management API or a `queue.created` event describes it. */
export interface QueueDescription {
  readonly type?: unknown;
  readonly durable?: unknown;
  readonly auto_delete?: unknown;
  readonly exclusive?: unknown;
  readonly arguments?: unknown;
  readonly effective_policy_definition?: unknown;
  /** Of newer brokers: the one in force, where neither argument nor policy has one. */
  readonly delivery_limit?: unknown;
}

/** What decides whether a stream may be opened; a bound is the lower of argument and policy, as the broker has it. */
export function queueProperties(description: QueueDescription): QueueProperties {
  const args = record(description.arguments);
  const policy = record(description.effective_policy_definition);
  const type = queueType(description.type) ?? queueType(args['x-queue-type']);
  const number = (name: string) => least(args[`x-${name}`], policy[name]);
  const maxLength = number('max-length');
  const maxLengthBytes = number('max-length-bytes');
  const maxPriority = least(args['x-max-priority'], undefined);
  const deliveryLimit = number('delivery-limit') ?? least(description.delivery_limit, undefined);
  const overflow = args['x-overflow'] ?? policy['overflow'];
  return {
    ...(type !== undefined && { type }),
    ...(typeof description.durable === 'boolean' && { durable: description.durable }),
    ...(typeof description.auto_delete === 'boolean' && { autoDelete: description.auto_delete }),
    ...(typeof description.exclusive === 'boolean' && { exclusive: description.exclusive }),
    expires: number('expires') !== undefined,
    ...(maxLength !== undefined && { maxLength }),
    ...(maxLengthBytes !== undefined && { maxLengthBytes }),
    ...(typeof overflow === 'string' && { overflow }),
    singleActiveConsumer: args['x-single-active-consumer'] === true,
    ...(maxPriority !== undefined && { maxPriority }),
    ...(type === 'quorum' && deliveryLimit !== undefined && deliveryLimit >= 0 && { deliveryLimit }),
    ...(typeof args['x-internal-purpose'] === 'string' && { internalPurpose: args['x-internal-purpose'] }),
  };
}

/** The delivery limit that is set for this queue; below 0 it says that there is none (RabbitMQ 4). */
export function deliveryLimit(description: QueueDescription): number | undefined {
  const args = record(description.arguments);
  const limit = least(args['x-delivery-limit'], record(description.effective_policy_definition)['delivery-limit']);
  return limit !== undefined && limit < 0 ? Number.POSITIVE_INFINITY : limit;
}

/** The arguments of a declaration that makes a queue alike. */
export function declareArguments(properties: QueueDeclaration): Record<string, unknown> {
  return {
    ...(properties.type !== undefined && { 'x-queue-type': properties.type }),
    ...(properties.maxLength !== undefined && { 'x-max-length': properties.maxLength }),
    ...(properties.maxLengthBytes !== undefined && { 'x-max-length-bytes': properties.maxLengthBytes }),
    ...(properties.overflow !== undefined && { 'x-overflow': properties.overflow }),
    ...(properties.singleActiveConsumer && { 'x-single-active-consumer': true }),
    ...(properties.maxPriority !== undefined && { 'x-max-priority': properties.maxPriority }),
    ...(properties.deliveryLimit !== undefined && { 'x-delivery-limit': properties.deliveryLimit }),
    ...(properties.messageTtlMs !== undefined && { 'x-message-ttl': properties.messageTtlMs }),
    ...(properties.expiresMs !== undefined && { 'x-expires': properties.expiresMs }),
  };
}

/** Same in everything that is told of a queue. */
export function sameProperties(a: QueueProperties, b: QueueProperties): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Events name the type's module (`rabbit_quorum_queue`), the API its name. */
function queueType(type: unknown): string | undefined {
  if (typeof type !== 'string') return undefined;
  return /^rabbit_(\w+)_queue$/.exec(type)?.[1] ?? type;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function least(a: unknown, b: unknown): number | undefined {
  const numbers = [a, b].filter((value): value is number => typeof value === 'number');
  return numbers.length > 0 ? Math.min(...numbers) : undefined;
}
