type Entry = Readonly<Record<'queue' | 'queueRegex' | 'exchange' | 'topic', string | undefined>>;

/** A connector as the topology file has it. */
interface WrittenConnector {
  readonly from?: unknown;
  readonly to?: unknown;
  readonly duplex?: unknown;
  readonly createDestinations?: unknown;
  readonly dynamicallyIncludedDestinations?: unknown;
  readonly staticallyIncludedDestinations?: unknown;
}

/** What a user may do in a virtual host: regular expressions, as RabbitMQ wants them. */
export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** In the virtual host of `amq.rabbitmq.event`. */
export const eventPermissions: Permissions = {
  configure: '^tombolo\\.events\\.',
  write: '^tombolo\\.events\\.',
  read: '^(tombolo\\.events\\..*|amq\\.rabbitmq\\.event)$',
};

/** The least that the bridge of a cluster needs: the table "What the bridge's user may do" in the README, for these connectors. */
export function permissionsOf(connectors: readonly WrittenConnector[], cluster: string): Permissions {
  const configure = ['^tombolo\\.'];
  const write = ['^tombolo\\.', '^amq\\.default$'];
  const read = ['^tombolo\\.'];
  for (const connector of connectors) {
    const { from, to, duplex, createDestinations = 'none' } = connector;
    const entries = [
      ...((connector.dynamicallyIncludedDestinations as Entry[] | undefined) ?? [{ queue: '>' } as Entry]),
      ...((connector.staticallyIncludedDestinations as Entry[] | undefined) ?? []),
    ];
    const queues = entries.flatMap(
      ({ queue, queueRegex }) => queueRegex ?? (queue === undefined ? [] : regexOf(queue)),
    );
    const exchanges = entries.flatMap(({ exchange, topic }) =>
      topic !== undefined ? '^amq\\.topic$' : exchange === undefined ? [] : regexOf(exchange),
    );
    if (from === cluster || (duplex && to === cluster)) {
      read.push(...queues, ...exchanges);
      if (createDestinations === 'source' || createDestinations === 'both') configure.push(...queues);
    }
    if (to === cluster || (duplex && from === cluster)) {
      write.push(...exchanges);
      if (createDestinations === 'sink' || createDestinations === 'both') configure.push(...queues);
    }
  }
  return { configure: anyOf(configure), write: anyOf(write), read: anyOf(read) };
}

function anyOf(patterns: readonly string[]): string {
  return [...new Set(patterns)].join('|');
}

/** `*` is one dot-separated word, a last `>` the rest. */
function regexOf(wildcard: string): string {
  const escaped = wildcard.replace(/[\\^$+?()[\]{}|.]/g, '\\$&');
  return `^${escaped.replaceAll('*', '[^.]*').replace(/(?:\\\.)?>$/, '.*')}$`;
}
