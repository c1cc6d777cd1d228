import type { Clock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import { isReserved, selects } from '@tombolo/topology/filter';
import type { Topology } from '@tombolo/topology/topology';
import type { Destination, Finding } from '@tombolo/wire/frame';
import { concludes, type Trace, type TraceItem } from './admin/conclusion.ts';
import {
  type ConnectorFact,
  type DemandFact,
  findingsOf,
  type QueueFact,
  type TraceFacts,
  type TraceFinding,
} from './admin/trace.ts';
import type { BridgeView } from './admin/view.ts';
import type { Broker } from './broker/port.ts';
import { type Agreement, joinedClusters } from './routing/agreement.ts';
import type { Questions } from './routing/questions.ts';
import type { Router } from './routing/router.ts';
import { refusedSource } from './stream/source-queues.ts';

export interface TracerOptions {
  /** The one that is in force. */
  readonly topology: () => Topology;
  readonly cluster: string;
  readonly agreement: Agreement;
  readonly router: Router;
  readonly broker: Pick<Broker, 'source'>;
  readonly clock: Clock;
  readonly questions: Pick<Questions, 'ask'>;
  readonly view: () => BridgeView;
}

/** The own broker's answer is not waited for longer: who asks from afar has no more patience than this. */
const LOOK_MS = 1_200;

/** Explains why the messages of a destination move or do not: gathers what this bridge knows, and asks the others. */
export class Tracer {
  readonly #options: TracerOptions;

  constructor(options: TracerOptions) {
    this.#options = options;
  }

  /** What a peer is told. */
  answer(destination: Destination): Promise<readonly Finding[]> {
    return this.#findings(destination, false);
  }

  async trace(name: string): Promise<Trace> {
    const { cluster, topology } = this.#options;
    const destination: Destination = { kind: 'queue', name };
    const items = await Promise.all([
      this.#findings(destination, true).then((findings) => ({ cluster, findings })),
      ...joinedClusters(topology(), cluster).map((other) => this.#ask(other, destination)),
    ]);
    return { destination: name, items, conclusion: concludes(items) };
  }

  async #ask(other: string, destination: Destination): Promise<TraceItem> {
    const { cluster, router } = this.#options;
    const one = (state: TraceFinding['state'], code: string, text: string) => ({
      cluster: other,
      findings: [{ code, state, text }],
    });
    if (router.hop(other) === undefined)
      return one(
        'info',
        'not_asked',
        `not asked: ${cluster} has no way to it (a link is down, or networkTTL ends before)`,
      );
    const found = await this.#options.questions.ask(other, destination);
    if (!found)
      return one('stops', 'no_answer', 'did not answer within 2 s: its bridge is busy, or older than this one');
    return { cluster: other, findings: found.map(known) };
  }

  /** @param own the operator of this cluster asks: a peer is told of queues only that some connector here means */
  async #findings(destination: Destination, own: boolean): Promise<TraceFinding[]> {
    const { agreement } = this.#options;
    const { kind, name } = destination;
    if (kind !== 'queue') return [];
    const looked = own || agreement.concerns(name) ? await this.#look(name) : undefined;
    return findingsOf(this.#facts(name, looked));
  }

  #facts(name: string, queue: QueueFact | undefined): TraceFacts {
    const { cluster, router, view } = this.#options;
    const { broker, draining, links, streams, demand } = view();
    const own = demand.find((row) => row.cluster === cluster && row.destination === name && row.kind === 'queue');
    const destination: Destination = { kind: 'queue', name };
    const remote = [...router.table.demandsOf(destination)].map((route): DemandFact => {
      const { sink, best, last, ways, unserved } = route;
      return {
        cluster: sink,
        consumers: last.consumers,
        path: best?.path.toReversed(),
        alternatives: Math.max(0, ways.size - 1),
        unserved,
        tooFar: this.#options.agreement.peers.flatMap((peer) => {
          const detail = router.tooFar(peer, route);
          return detail === undefined ? [] : [{ peer, detail }];
        }),
      };
    });
    const local: DemandFact[] = own
      ? [
          {
            cluster,
            consumers: own.consumers,
            path: [],
            alternatives: 0,
            unserved:
              own.unserved === undefined ? undefined : { reason: own.unserved, detail: own.detail ?? own.unserved },
            tooFar: [],
          },
        ]
      : [];
    return {
      cluster,
      destination: name,
      draining,
      reserved: isReserved({ kind: 'queue', name }),
      sighted: router.sighted,
      broker,
      queue,
      connectors: this.#connectors(name),
      demands: [...local, ...remote],
      streams: streams.filter((row) => row.destination === name && row.kind === 'queue'),
      links,
    };
  }

  #connectors(name: string): ConnectorFact[] {
    const { agreement, cluster } = this.#options;
    return agreement.ways.map((way): ConnectorFact => {
      const { connector, from, to } = way;
      const peer = from === cluster ? to : from;
      const permission = selects(connector, { kind: 'queue', name });
      const base = { name: connector.name, from, to, permitted: permission.permitted };
      if (!permission.permitted) return { ...base, detail: permission.detail, state: 'refused', static: false };
      const { entry } = permission;
      const what = `includes it by ${permission.static ? 'the static ' : ''}${entry.kind} ${entry.pattern}`;
      const facts = { ...base, static: permission.static };
      if (agreement.known(peer) && !agreement.agreed(way))
        return { ...facts, state: 'pending', detail: `${what}, and is not in the file of ${peer} yet` };
      if (agreement.paused(connector)) return { ...facts, state: 'paused', detail: `${what}, and is paused` };
      return { ...facts, state: 'open', detail: `${what}; networkTTL ${connector.networkTTL}` };
    });
  }

  async #look(name: string): Promise<QueueFact> {
    const { broker, clock } = this.#options;
    let cancel = (): void => {};
    const late = new Promise<QueueFact>((resolve) => {
      const reason = `the broker did not answer within ${LOOK_MS / 1000} s`;
      cancel = clock.wake(clock.now() + LOOK_MS, () => resolve({ is: 'unknown', reason }));
    });
    const looked = broker.source.inspect(name).then(
      (found): QueueFact =>
        found ? { is: 'found', ...found, refused: refusedSource(found.properties) } : { is: 'absent' },
      (thrown: unknown): QueueFact => ({ is: 'unknown', reason: messageOf(thrown) }),
    );
    const fact = await Promise.race([looked, late]);
    cancel();
    return fact;
  }
}

/** A state that this version does not know decides nothing. */
function known({ code, state, text }: Finding): TraceFinding {
  return { code, state: state === 'ok' || state === 'stops' ? state : 'info', text };
}
