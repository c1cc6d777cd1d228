import { awaitUntil } from '@tombolo/testing/await-until';
import { describe, expect, test } from 'vitest';
import { Network, type NetworkOptions, noNodes, Site, secret, tombolo, westToEast, within } from './network.ts';

/** Clusters a, b and c in a row, each with a queue `q`. */
async function chain(networkTTL: number, last: NetworkOptions['connectors'][number] = {}) {
  const names = ['a', 'b', 'c'] as const;
  const sites = await Promise.all(names.map((_, index) => Site.open(index % 2)));
  await Promise.all(sites.map((site) => site.declare('q')));
  const [a, b, c] = sites as [Site, Site, Site];
  const network = await Network.open({
    clusters: { a: { site: a }, b: { site: b }, c: { site: c } },
    connectors: [
      { name: 'a-b', from: 'a', to: 'b', networkTTL },
      { name: 'b-c', from: 'b', to: 'c', networkTTL, ...last },
    ],
  });
  return { a, b, c, network };
}

interface Traced {
  readonly items: readonly { readonly cluster: string; readonly findings: readonly { readonly text: string }[] }[];
  readonly conclusion: string;
}

/** What the command prints, once its conclusion is as expected: a network takes a moment to settle. */
async function traced(network: Network, at: string, queue: string, conclusion: RegExp): Promise<string> {
  const url = network.bridge(at).admin;
  const path = `/api/v1/trace?destination=${queue}`;
  let said = '';
  await awaitUntil(
    `a trace of ${queue} concludes ${conclusion}`,
    async () => {
      said = ((await network.bridge(at).get(path)) as Traced).conclusion;
      return conclusion.test(said);
    },
    within(60_000),
  ).catch((error) => {
    throw new Error(`${error.message}, but: ${said}`, { cause: error });
  });
  const { code, output, errors } = await tombolo(['trace', queue, '--table', '--url', url]);
  expect([code, errors]).toEqual([0, '']);
  return output;
}

describe.skipIf(noNodes())('a trace', () => {
  test('over a chain of three with networkTTL 1 says that the demand of the far end stops in the middle', async () => {
    const { a, c, network } = await chain(1);
    await a.publish('q', 7);
    await c.consume('q');
    const output = await traced(network, 'a', 'q', /networkTTL/);
    expect(output).toMatch(/^a$[\s\S]*queue q: 7 messages ready, 0 consumers/m);
    expect(output).toMatch(/^b$[\s\S]*\+ 1 consumer at c$/m);
    expect(output).toMatch(/^c$\n {4}not asked: a has no way to it/m);
    expect(output.trimEnd().split('\n').at(-1)).toBe(
      'Messages wait at a because, at b, the demand of c is not told to a: ' +
        'a message from a would cross 2 connectors, connector a-b has networkTTL 1.',
    );
    expect(output).not.toContain(secret);
  });

  test('over a chain of three is answered by the far end through the transit, and says that messages flow', async () => {
    const { a, c, network } = await chain(2);
    await c.consume('q', { prefetch: 1, delayMs: 20 });
    await a.publish('q', 3_000);
    const output = await traced(network, 'a', 'q', /^Messages flow from a\.$/);
    expect(output).toMatch(/^a$[\s\S]*\+ 1 consumer at c, by b$[\s\S]*\+ stream to c: flows; \d+ settled/m);
    expect(output).toMatch(/^b$[\s\S]*connector b-c/m);
    expect(output).toMatch(/^c$[\s\S]*\+ 1 consumer here[\s\S]*stream from a/m);
    const { output: json } = await tombolo(['trace', 'q', '--json', '--url', network.bridge('c').admin]);
    expect((JSON.parse(json) as Traced).items.map(({ cluster }) => cluster)).toEqual(['c', 'b', 'a']);
  });

  test('of a queue that an entry excludes names the entry, and the queue elsewhere is not shown to peers', async () => {
    const { west, east, network } = await westToEast({
      dynamicallyIncludedDestinations: [{ queue: 'orders.>' }],
      excludedDestinations: [{ queue: 'orders.local.>' }],
    });
    await Promise.all([west.declare('orders.local.eu'), east.declare('orders.local.eu')]);
    await west.publish('orders.local.eu', 5);
    await east.consume('orders.local.eu');
    const excluded = 'connector west-east excludes queue orders.local.>';
    const output = await traced(network, 'west', 'orders.local.eu', new RegExp(`because, at west, .*${excluded}\\.$`));
    expect(output.split('\neast\n')[1]).not.toMatch(/queue orders\.local\.eu/);
    expect(await traced(network, 'west', 'other', /^No message waits; .*does not include it\.$/)).toMatch(/^other\n/);
    expect(await traced(network, 'west', 'amq.gen-1', /reserved/)).toMatch(/Never bridged/);
  });

  test('says that nobody consumes, that consumers are busy, that a queue is missing, and that a cluster is silent', async () => {
    const { west, east, network } = await westToEast();
    await Promise.all(['idle', 'busy'].flatMap((queue) => [west.declare(queue), east.declare(queue)]));
    await east.declare('absent');
    await Promise.all([west.publish('idle', 3), west.publish('busy', 500)]);
    await traced(network, 'west', 'idle', /^Messages wait at west because no cluster that answered has a consumer\.$/);
    await east.consume('busy', { prefetch: 5, acknowledge: false });
    await traced(
      network,
      'west',
      'busy',
      /at east, stream from west waits: the consumers are busy: \d+ messages? waits? /,
    );
    await east.consume('absent');
    await traced(network, 'west', 'absent', /at west, not served: queue absent does not exist on west\.$/);
    process.kill(network.bridge('east').pid, 'SIGSTOP');
    try {
      await traced(network, 'west', 'idle', /has a consumer; east did not answer\.$/);
    } finally {
      process.kill(network.bridge('east').pid, 'SIGCONT');
    }
    await network.bridge('east').stop();
    await traced(network, 'west', 'idle', /at west, link to east: down/);
  });
});
