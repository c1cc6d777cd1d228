import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitUntil } from '@tombolo/testing/await-until';
import { freePorts } from '@tombolo/testing/free-port';

const home = '/usr/share/activemq';
const jar = `${home}/bin/activemq.jar`;

/** Why no ActiveMQ can be started; undefined when one can. */
export function activemqMissing(): string | undefined {
  return existsSync(jar) ? undefined : 'ActiveMQ is not installed (on Debian: apt-get install activemq)';
}

/** One node of ActiveMQ with KahaDB; with `upstream`, a networkConnector to the node whose messages it wants. */
export class ActiveMqNode {
  readonly stompPort: number;
  readonly openwirePort: number;
  readonly #child: ChildProcess;

  private constructor(stompPort: number, openwirePort: number, child: ChildProcess) {
    this.stompPort = stompPort;
    this.openwirePort = openwirePort;
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** @param to the port of the node that this one forwards to, on demand */
  static async start(name: string, to?: ActiveMqNode): Promise<ActiveMqNode> {
    const base = await mkdtemp(join(tmpdir(), `activemq-${name}-`));
    const [stomp, openwire] = (await freePorts(2)) as [number, number];
    await mkdir(join(base, 'conf'));
    await writeFile(join(base, 'conf', 'activemq.xml'), configuration(name, base, stomp, openwire, to?.openwirePort));
    await writeFile(join(base, 'conf', 'log4j.properties'), logging);
    const output = await open(join(base, 'out'), 'a');
    const opens = ['java.lang', 'java.util', 'java.io', 'java.net'].map(
      (each) => `--add-opens=java.base/${each}=ALL-UNNAMED`,
    );
    const child = spawn(
      'java',
      [
        '-Xmx1G',
        ...opens,
        `-Dactivemq.home=${home}`,
        `-Dactivemq.base=${base}`,
        `-Dactivemq.conf=${base}/conf`,
        `-Dactivemq.data=${base}/data`,
        `-Dactivemq.classpath=${base}/conf:${home}/lib/`,
        ...['-jar', jar, 'start', `xbean:file:${base}/conf/activemq.xml`],
      ],
      { stdio: ['ignore', output.fd, output.fd] },
    );
    await output.close();
    await awaitUntil(
      `ActiveMQ ${name} accepts connections`,
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${await readFile(join(base, 'out'), 'utf8')}`);
        return accepts(stomp);
      },
      { withinMs: 60_000, everyMs: 50 },
    );
    return new ActiveMqNode(stomp, openwire, child);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    await gone;
  }
}

function configuration(name: string, base: string, stomp: number, openwire: number, to: number | undefined): string {
  const connector =
    to === undefined
      ? ''
      : `<networkConnectors><networkConnector name="bench" uri="static:(tcp://127.0.0.1:${to})"/></networkConnectors>`;
  return `<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="${name}" dataDirectory="${base}/data" useJmx="false">
    ${connector}
    <persistenceAdapter><kahaDB directory="${base}/data/kahadb"/></persistenceAdapter>
    <transportConnectors>
      <transportConnector name="openwire" uri="tcp://127.0.0.1:${openwire}"/>
      <transportConnector name="stomp" uri="stomp+nio://127.0.0.1:${stomp}"/>
    </transportConnectors>
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
