import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from './await-until.ts';
import { freePorts } from './free-port.ts';

const home = '/usr/share/activemq';
const jar = `${home}/bin/activemq.jar`;
/** What the broker writes advisories as JSON with, and Debian's package does not depend on. */
const jsonJars = ['xstream', 'jettison', 'xpp3'].map((name) => `/usr/share/java/${name}.jar`);

export interface ActiveMqOptions {
  /** The broker's name; default: one that no other node has. */
  readonly name?: string;
  /** The node that this one forwards to, on demand, by a networkConnector of ActiveMQ's own. */
  readonly networkTo?: ActiveMqNode;
  /** False: as Debian's package is, which cannot write advisories as JSON. */
  readonly advisories?: boolean;
  /** The directory of the store, for a master and a slave that share it; default: one of its own. */
  readonly store?: string;
  /** Elements inside `<broker>`, as in activemq.xml: policies, plugins. In the order that its schema asks for, by name. */
  readonly elements?: Readonly<Record<string, string>>;
  /** It listens for STOMP over TLS too, shows this certificate, and wants one of this authority's of whoever connects. PEM files. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile: string };
  /** True: resolves once the process runs, since a slave accepts no connection until its master is gone. */
  readonly slave?: boolean;
}

/** Why no ActiveMQ can be started on this machine; undefined when one can. */
export function activemqMissing(): string | undefined {
  const missing = [jar, ...jsonJars].filter((path) => !existsSync(path));
  if (missing.length === 0) return undefined;
  return `ActiveMQ is not installed (${missing.join(', ')}; on Debian: apt-get install activemq libxstream-java libjettison-java libxpp3-java)`;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** One node of ActiveMQ of the test's own, with KahaDB, on loopback. */
export class ActiveMqNode {
  readonly name: string;
  readonly stompPort: number;
  /** Of STOMP over TLS; nothing listens there without `tls`. */
  readonly stompsPort: number;
  readonly openwirePort: number;
  /** Where its messages are; another node that is given it is its slave. */
  readonly store: string;
  readonly #base: string;
  #child: ChildProcess;

  private constructor(place: Place, child: ChildProcess) {
    this.name = place.name;
    this.stompPort = place.stompPort;
    this.stompsPort = place.stompsPort;
    this.openwirePort = place.openwirePort;
    this.store = place.store;
    this.#base = place.base;
    this.#child = child;
  }

  /** The id of its process; another one after `restart`. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** Starts a node; it accepts connections when this resolves (about 2 s), unless it is a slave. */
  static async start(options: ActiveMqOptions = {}): Promise<ActiveMqNode> {
    const missing = activemqMissing();
    if (missing) throw new Error(missing);
    const [stompPort, openwirePort, stompsPort] = (await freePorts(3)) as [number, number, number];
    const name = options.name ?? `tombolo${stompPort}`;
    const base = await mkdtemp(join(tmpdir(), `tombolo-activemq-${name}-`));
    const place: Place = {
      name,
      base,
      stompPort,
      stompsPort,
      openwirePort,
      store: options.store ?? join(base, 'kahadb'),
    };
    await mkdir(join(base, 'conf'));
    await writeFile(join(base, 'conf', 'activemq.xml'), configuration(place, options));
    await writeFile(join(base, 'conf', 'log4j.properties'), logging);
    if (options.tls) writeStores(join(base, 'conf'), options.tls);
    await mkdir(join(base, 'ext'));
    if (options.advisories !== false) {
      for (const each of jsonJars) await symlink(each, join(base, 'ext', each.slice(each.lastIndexOf('/') + 1)));
    }
    const node = new ActiveMqNode(place, await run(base));
    if (options.slave !== true) await node.accepts();
    return node;
  }

  /** Resolves once it accepts connections. */
  async accepts(): Promise<void> {
    await awaitUntil(
      `ActiveMQ ${this.name} accepts connections`,
      async () => {
        if (this.#child.exitCode !== null) throw new Error(`it ended: ${await this.output()}`);
        return accepts(this.stompPort);
      },
      { withinMs: 60_000, everyMs: 50 },
    );
  }

  /** What it wrote, its log among it. */
  output(): Promise<string> {
    return readFile(join(this.#base, 'out'), 'utf8');
  }

  /** SIGKILL. The data stays, for `restart`. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Ends the node (in good order, unless it was killed) and starts it again on the same data and ports. */
  async restart(): Promise<void> {
    await this.#end('SIGTERM');
    this.#child = await run(this.#base);
    await this.accepts();
  }

  /** Shuts the node down in good order and removes what belongs to it. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await rm(this.#base, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill(signal);
    await gone;
  }
}

interface Place {
  readonly name: string;
  readonly base: string;
  readonly store: string;
  readonly stompPort: number;
  readonly stompsPort: number;
  readonly openwirePort: number;
}

async function run(base: string): Promise<ChildProcess> {
  const output = await open(join(base, 'out'), 'a');
  const opens = ['java.lang', 'java.util', 'java.io', 'java.net'].map(
    (each) => `--add-opens=java.base/${each}=ALL-UNNAMED`,
  );
  const child = spawn(
    'java',
    [
      '-Xmx1G',
      // A test's broker lives for minutes: what only the later compiler would gain is not worth its start.
      '-XX:+UseSerialGC',
      ...opens,
      `-Dactivemq.home=${home}`,
      `-Dactivemq.base=${base}`,
      `-Dactivemq.conf=${base}/conf`,
      `-Dactivemq.data=${base}/data`,
      `-Dactivemq.classpath=${base}/conf:${home}/lib/`,
      ...['-jar', jar, 'start', '--extdir', `${base}/ext`, `xbean:file:${base}/conf/activemq.xml`],
    ],
    { stdio: ['ignore', output.fd, output.fd] },
  );
  running.add(child);
  child.once('exit', () => running.delete(child));
  await output.close();
  return child;
}

const storePassword = 'of-the-stores';

/** What Java reads its certificate and those that it trusts from. */
function writeStores(directory: string, { certFile, keyFile, caFile }: NonNullable<ActiveMqOptions['tls']>): void {
  const password = ['-passout', `pass:${storePassword}`];
  const keys = ['-export', '-in', certFile, '-inkey', keyFile, ...password, '-out', join(directory, 'keys.p12')];
  execFileSync('openssl', ['pkcs12', ...keys], { stdio: 'pipe' });
  // openssl does not mark a certificate as trusted in the way that Java asks for.
  const trust = ['-keystore', join(directory, 'trust.p12'), '-storetype', 'PKCS12', '-storepass', storePassword];
  execFileSync('keytool', ['-importcert', '-noprompt', '-alias', 'ca', '-file', caFile, ...trust], { stdio: 'pipe' });
}

function configuration(place: Place, options: ActiveMqOptions): string {
  const { name, base, store, stompPort, stompsPort, openwirePort } = place;
  const secure = `<transportConnector name="stomps" uri="stomp+nio+ssl://127.0.0.1:${stompsPort}?needClientAuth=true"/>`;
  const elements: Record<string, string> = {
    ...options.elements,
    persistenceAdapter: `<kahaDB directory="${store}"><locker><shared-file-locker lockAcquireSleepInterval="500"/></locker></kahaDB>`,
    transportConnectors: `
      <transportConnector name="openwire" uri="tcp://127.0.0.1:${openwirePort}"/>
      <transportConnector name="stomp" uri="stomp+nio://127.0.0.1:${stompPort}"/>
      ${options.tls ? secure : ''}`,
  };
  if (options.tls) {
    const stores = ['key', 'trust'].map((each) => {
      const file = `file:${base}/conf/${each === 'key' ? 'keys' : 'trust'}.p12`;
      return `${each}Store="${file}" ${each}StorePassword="${storePassword}" ${each}StoreType="PKCS12"`;
    });
    elements['sslContext'] = `<sslContext ${stores.join(' ')}/>`;
  }
  if (options.networkTo) {
    elements['networkConnectors'] =
      `<networkConnector name="own" uri="static:(tcp://127.0.0.1:${options.networkTo.openwirePort})"/>`;
  }
  // The schema's order is the alphabet's.
  const inside = Object.keys(elements)
    .sort()
    .map((each) => `<${each}>${elements[each]}</${each}>`);
  return `<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="${name}" dataDirectory="${base}/data" useJmx="false">
    ${inside.join('\n    ')}
  </broker>
</beans>
`;
}

const logging = `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m%n
`;

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
