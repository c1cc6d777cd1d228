import { messageOf } from '@tombolo/kernel/fault';
import { type QueueDescription, queueProperties } from '../broker/rabbitmq/queue-properties.ts';
import type { Findings, FoundQueue } from './survey.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A GET of RabbitMQ's management API, parsed; undefined: there is no such thing. Rejects with a Fault. */
export type Read = (path: string) => Promise<unknown>;

/**
 * What a virtual host has of queues and exchanges, what the user may do there, and what federation and shovels move. What the user may
 * not ask is told in `notes`, except for the queues: without them there is nothing to tell.
 */
export async function findingsFrom(
  read: Read,
  vhost: string,
  user: string,
): Promise<{ readonly findings: Findings; readonly notes: readonly string[] }> {
  const notes: string[] = [];
  const place = encodeURIComponent(vhost);
  const attempt = async (path: string, what: string): Promise<Fields[]> => {
    try {
      return listOf(await read(path));
    } catch (thrown) {
      notes.push(`${what} could not be looked at: ${messageOf(thrown)}`);
      return [];
    }
  };
  const queues = listOf(await read(`/api/queues/${place}?columns=${queueColumns}`));
  const [exchanges, shovels, permissions] = await Promise.all([
    attempt(`/api/exchanges/${place}?columns=name`, 'exchanges'),
    attempt(`/api/parameters/shovel/${place}`, 'shovels'),
    attempt(`/api/users/${encodeURIComponent(user)}/permissions`, 'permissions'),
  ]);
  const granted = permissions.find((each) => each['vhost'] === vhost);
  const { read: reads, write, configure } = granted ?? {};
  const findings: Findings = {
    queues: queues.flatMap((queue) => foundQueue(queue, shovels) ?? []),
    exchanges: exchanges.map(({ name }) => String(name)).filter((name) => name !== ''),
    permissions: granted && { read: String(reads), write: String(write), configure: String(configure) },
  };
  return { findings, notes };
}

const queueColumns =
  'name,type,durable,auto_delete,exclusive,arguments,messages_ready,consumers,policy,operator_policy,effective_policy_definition';

function foundQueue(queue: Fields, shovels: readonly Fields[]): FoundQueue | undefined {
  const { name, messages_ready: ready, consumers } = queue;
  if (typeof name !== 'string') return undefined;
  return {
    name,
    properties: queueProperties(queue as QueueDescription),
    ready: typeof ready === 'number' ? ready : 0,
    consumers: typeof consumers === 'number' ? consumers : 0,
    movers: [...federated(queue), ...shovelled(name, shovels)],
  };
}

const federationKeys = ['federation-upstream', 'federation-upstream-set', 'federation-upstream-pattern'] as const;

function federated({ policy, effective_policy_definition: definition }: Fields): string[] {
  const said = (typeof definition === 'object' && definition !== null ? definition : {}) as Fields;
  const key = federationKeys.find((each) => said[each] !== undefined);
  if (!key) return [];
  return [`federation (policy ${String(policy)}: ${key.slice('federation-'.length)} ${String(said[key])})`];
}

function shovelled(queue: string, shovels: readonly Fields[]): string[] {
  return shovels.flatMap(({ name, value }) => {
    const said = (typeof value === 'object' && value !== null ? value : {}) as Fields;
    const ends = [
      ...(said['src-queue'] === queue ? ['from it'] : []),
      ...(said['dest-queue'] === queue ? ['to it'] : []),
    ];
    return ends.map((end) => `shovel ${String(name)} (${end})`);
  });
}

function listOf(answer: unknown): Fields[] {
  return Array.isArray(answer) ? (answer as Fields[]) : [];
}
