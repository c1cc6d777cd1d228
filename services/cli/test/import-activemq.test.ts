import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTopology } from '@tombolo/topology/load';
import type { Connector } from '@tombolo/topology/topology';
import { afterAll, describe, expect, test } from 'vitest';
import { importActiveMq } from '../src/import/activemq.ts';
import { carriedOptions, destinationLists, optionsWithoutEquivalent } from '../src/import/network-connector-options.ts';
import { renderImport } from '../src/import-yaml.ts';
import { call } from './call.ts';

const folder = mkdtempSync(join(tmpdir(), 'tombolo-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An activemq.xml as it is shipped, with this inside `<broker>`. */
const xml = (inside: string, attributes = 'brokerName="west"') => `<beans
  xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <bean class="org.springframework.beans.factory.config.PropertyPlaceholderConfigurer"/>
  <!-- a comment -->
  <broker xmlns="http://activemq.apache.org/schema/core" ${attributes}>
${inside}
  </broker>
</beans>
`;
const connectors = (inside: string) => `<networkConnectors>${inside}</networkConnectors>`;

function yamlOf(text: string): string {
  const result = importActiveMq(text, 'activemq.xml');
  if (!('topology' in result)) throw new Error(JSON.stringify(result.problems));
  return renderImport(result.topology);
}

const environment = new Proxy({} as Record<string, string>, {
  get: (_, name) => (String(name).endsWith('_URI') ? 'stomp://found.example:61613' : 'value'),
});

/** What a bridge makes of the output when the environment is filled in; valid without an error. */
function loaded(yaml: string) {
  const file = join(folder, 'tombolo.yaml');
  writeFileSync(file, yaml);
  const { topology, problems } = loadTopology(file, { env: environment });
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  return topology!;
}

const connectorOf = (attributes: string, inside = ''): { connector: Connector; yaml: string } => {
  const yaml = yamlOf(
    xml(
      connectors(
        `<networkConnector name="c" uri="static:(tcp://east:61616)" ${attributes}>${inside}</networkConnector>`,
      ),
    ),
  );
  return { connector: loaded(yaml).connectors[0]!, yaml };
};

describe('tombolo import activemq', () => {
  test('a broker with a connector becomes two clusters and a connector', () => {
    const yaml = yamlOf(
      xml(`
        <networkConnectors>
          <networkConnector name="to-east" uri="static:(tcp://east.example:61616)" duplex="true" networkTTL="3"
              prefetchSize="100" decreaseNetworkConsumerPriority="false" conduitSubscriptions="false" autoStart="false">
            <dynamicallyIncludedDestinations>
              <queue physicalName="orders.&gt;"/>
              <topic physicalName="prices.*"/>
            </dynamicallyIncludedDestinations>
            <excludedDestinations><queue physicalName="orders.local.>"/></excludedDestinations>
            <staticallyIncludedDestinations><queue physicalName="audit"/></staticallyIncludedDestinations>
          </networkConnector>
        </networkConnectors>
        <transportConnectors>
          <transportConnector name="openwire" uri="tcp://0.0.0.0:61616"/>
          <transportConnector name="stomp" uri="stomp+nio://0.0.0.0:61623?transport.defaultHeartBeat=0,0"/>
        </transportConnectors>`),
    );
    const topology = loaded(yaml);
    expect(Object.values(topology.clusters).map(({ name, broker }) => [name, broker?.type, broker?.uris])).toEqual([
      ['west', 'activemq', ['stomp://localhost:61623']],
      ['east.example', 'activemq', ['stomp://east.example:61613']],
    ]);
    expect(topology.connectors).toMatchObject([
      {
        name: 'to-east',
        from: 'west',
        to: 'east.example',
        duplex: true,
        autoStart: false,
        networkTTL: 3,
        prefetchSize: 100,
        decreaseNetworkConsumerPriority: false,
        conduitSubscriptions: false,
        dynamicallyIncluded: [
          { kind: 'queue', pattern: 'orders.>' },
          { kind: 'topic', pattern: 'prices.*' },
        ],
        excluded: [{ kind: 'queue', pattern: 'orders.local.>' }],
        staticallyIncluded: [{ kind: 'queue', pattern: 'audit' }],
      },
    ]);
    expect(yaml).not.toContain('TODO');
  });

  test('a connector that says nothing is Tombolo’s default but for what it includes, which is everything', () => {
    const { connector, yaml } = connectorOf('');
    expect(connector).toMatchObject({
      duplex: false,
      autoStart: true,
      networkTTL: 1,
      prefetchSize: 1000,
      dynamicallyIncluded: [
        { kind: 'queue', pattern: '>' },
        { kind: 'topic', pattern: '>' },
      ],
    });
    expect(yaml.slice(yaml.indexOf('networkConnectors:'))).not.toContain('#');
    expect(yaml).not.toContain('TODO');
  });

  test.each(Object.entries(optionsWithoutEquivalent))(
    '%s has no equivalent, and a comment says what holds instead',
    (name, option) => {
      const value = option.expects === 'true' ? 'false' : 'true';
      expect(connectorOf(`${name}="${value}"`).yaml).toMatch(new RegExp(`# ${name}="${value}" \\(line \\d+\\): \\S`));
      if (option.expects) expect(connectorOf(`${name}="${option.expects}"`).yaml).not.toContain(`# ${name}`);
    },
  );

  test('every attribute of ActiveMQ 5.17’s networkConnector is carried over or explained', () => {
    // The properties of org.apache.activemq.network.NetworkBridgeConfiguration and DiscoveryNetworkConnector that can be set.
    const all = `advisoryAckPercentage advisoryForFailedForward advisoryPrefetchSize alwaysSyncSend autoStart bridgeFactory
      bridgeTempDestinations brokerName brokerURL checkDuplicateMessagesOnDuplex clientIdToken conduitNetworkQueueSubscriptions
      conduitSubscriptions connectionFilter consumerPriorityBase consumerTTL decreaseNetworkConsumerPriority destinationFilter
      dispatchAsync duplex durableDestinations dynamicOnly dynamicallyIncludedDestinations excludedDestinations gcDestinationViews
      gcSweepTime localUri messageTTL name networkTTL password prefetchSize remotePassword remoteUserName sslContext
      staticBridge staticallyIncludedDestinations suppressDuplicateQueueSubscriptions suppressDuplicateTopicSubscriptions
      syncDurableSubs uri useBrokerNamesAsIdSeed useCompression useVirtualDestSubs userName`;
    const known = [...carriedOptions, ...Object.keys(optionsWithoutEquivalent), ...destinationLists];
    expect(all.split(/\s+/).filter((name) => !known.includes(name))).toEqual([]);
  });

  test.each([
    ['networkTTL="-1"', 255],
    ['networkTTL="2"', 2],
    ['networkTTL="4" consumerTTL="2"', 2],
    ['messageTTL="5"', 1],
  ])('%s: a demand crosses as many connectors as its TTL allows', (attributes, networkTTL) => {
    expect(connectorOf(attributes).connector.networkTTL).toBe(networkTTL);
  });

  test('a static bridge forwards nothing on demand', () => {
    const { connector } = connectorOf(
      'staticBridge="true"',
      '<staticallyIncludedDestinations><queue physicalName="q"/></staticallyIncludedDestinations>',
    );
    expect(connector.dynamicallyIncluded).toEqual([]);
    expect(connector.staticallyIncluded).toMatchObject([{ kind: 'queue', pattern: 'q' }]);
  });

  test('every broker that static names is a cluster of its own; masterslave and failover are one at several addresses', () => {
    const uri =
      'static:(tcp://a:61616,failover:(ssl://b1:61617,ssl://b2:61617)?maxReconnectAttempts=0)?useExponentialBackOff=false';
    const yaml = yamlOf(
      xml(
        connectors(`<networkConnector name="one" uri="${uri}"/>
          <networkConnector name="two" uri="masterslave:(tcp://c1:61616,tcp://c2:61616)"/>`),
      ),
    );
    const topology = loaded(yaml);
    expect(topology.connectors.map(({ name, to }) => [name, to, topology.clusters[to]?.broker?.uris])).toEqual([
      ['one-a', 'a', ['stomp://a:61613']],
      ['one-b1', 'b1', ['stomp+ssl://b1:61612', 'stomp+ssl://b2:61612']],
      ['two', 'c1', ['stomp://c1:61613', 'stomp://c2:61613']],
    ]);
    expect(yaml).toContain('useExponentialBackOff=false');
  });

  test('two connectors to one broker share its cluster', () => {
    const yaml = yamlOf(
      xml(
        connectors(`<networkConnector name="queues" uri="static:(tcp://east:61616)"/>
          <networkConnector name="topics" uri="static:(tcp://east:61616)"/>`),
      ),
    );
    expect(loaded(yaml).connectors.map(({ to }) => to)).toEqual(['east', 'east']);
  });

  test.each(['multicast://default', `static:(tcp://\${east.host}:61616)`])(
    'what only ActiveMQ can find out is asked of the environment: %s',
    (uri) => {
      const yaml = yamlOf(xml(connectors(`<networkConnector name="c" uri="${uri}"/>`)));
      expect(loaded(yaml).connectors).toMatchObject([{ from: 'west', to: 'c-peer' }]);
    },
  );

  test('credentials are not repeated, the clusters refer to the environment', () => {
    const { yaml, connector } = connectorOf('userName="bridge" password="hunter2" remotePassword="hunter3"');
    expect(yaml).not.toMatch(/hunter|="bridge"/);
    expect(yaml).toContain(`username: \${WEST_USERNAME}`);
    expect(yaml).toContain(`password: \${EAST_PASSWORD}`);
    expect(connector.name).toBe('c');
  });

  test('names of several destinations, options and temporary destinations', () => {
    const { connector, yaml } = connectorOf(
      '',
      `<dynamicallyIncludedDestinations>
        <queue physicalName="a,topic://b"/><topic physicalName="c?forceDurable=true"/><tempQueue physicalName="x"/>
      </dynamicallyIncludedDestinations>`,
    );
    expect(connector.dynamicallyIncluded).toMatchObject([
      { kind: 'queue', pattern: 'a' },
      { kind: 'topic', pattern: 'b' },
      { kind: 'topic', pattern: 'c' },
    ]);
    expect(yaml).toMatch(/# \?forceDurable=true/);
    expect(yaml).toMatch(/# <tempQueue>/);
  });

  test('what makes a comment cannot make anything else', () => {
    const yaml = yamlOf(
      xml(connectors('<networkConnector name="c" uri="static:(tcp://east:61616)" brokerURL="x&#10;evil: true"/>')),
    );
    expect(yaml).not.toMatch(/^evil/m);
    loaded(yaml);
  });

  test.each([
    [
      '<networkConnector name="c" uri="static:(tcp://e:61616)" prefetchsize="5"/>',
      'activemq.xml:8:76',
      'did you mean "prefetchSize"?',
    ],
    [
      '<networkConnector name="c" uri="static:(tcp://e:61616)" duplex="yes"/>',
      'activemq.xml:8:76',
      'neither true nor false',
    ],
    ['<networkConnector name="c"/>', 'activemq.xml:8:20', 'has no uri'],
    [
      '<networkConnector name="c" uri="static:(tcp://e:61616)"><excluded/></networkConnector>',
      'activemq.xml:8:76',
      'no element <excluded>',
    ],
    ['<networkConnecter/>', 'activemq.xml:8:20', 'did you mean "networkConnector"?'],
    ['<networkConnector', 'activemq.xml:8:', 'no well-formed XML'],
  ])('what ActiveMQ would refuse is refused with its place: %s', async (inside, place, message) => {
    const { renderProblem } = await import('@tombolo/topology/problem');
    const result = importActiveMq(xml(connectors(inside)), 'activemq.xml');
    const problems = 'problems' in result ? result.problems.map(renderProblem) : [];
    expect(problems[0]).toContain(place);
    expect(problems[0]).toContain(message);
  });

  test('the command writes the topology, or every error and exit code 2', async () => {
    const file = join(folder, 'activemq.xml');
    writeFileSync(file, xml(connectors('<networkConnector name="c" uri="static:(tcp://east:61616)"/>')));
    const { code, out } = await call('import', 'activemq', file);
    expect(code).toBe(0);
    expect(loaded(out).connectors).toMatchObject([{ name: 'c', from: 'west', to: 'east' }]);
    writeFileSync(file, xml(connectors('<networkConnector duplex="yes" prefetchSize="x"/>')));
    expect(await call('import', 'activemq', file)).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringMatching(/duplex.*\n.*prefetchSize.*\n.*has no uri/),
    });
    expect(await call('import', 'activemq', join(folder, 'absent.xml'))).toMatchObject({ code: 2, out: '' });
  });

  test.each([
    ['', 'no well-formed XML'],
    ['<beans/>', 'no <broker>'],
    ['<broker/>', 'no networkConnector'],
  ])('a file without what is to be imported is refused: %s', (text, message) => {
    const result = importActiveMq(text, 'activemq.xml');
    expect('problems' in result && result.problems[0]?.message).toContain(message);
  });
});
