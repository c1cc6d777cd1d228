import { messageOf } from '@tombolo/kernel/fault';
import type { Destination, OpenFrame, QueueProperties } from '@tombolo/wire/frame';
import { destinationKey } from '../routing/destination-key.ts';
import { compareEpochs } from './sink-epoch.ts';
import type { SinkGround } from './sink-ground.ts';
import type { Sinkhole } from './sinkhole.ts';
import type { Sinkholes } from './sinkholes.ts';

const REFUSE_RETRY_MS = 5_000;
const BLIND_RETRY_MS = 250;
/** So many refusals are remembered, the latest, and so many are logged one by one in this time (ms). */
const REFUSED_LARGEST = 10_000;
const TOLD_LARGEST = 100;
const TOLD_MS = 60_000;

/** Which streams of its sources a sink takes, and why it refuses the others. */
export class SinkOpenings {
  readonly #ground: SinkGround;
  readonly #sinkholes: Sinkholes;
  readonly #refused = new Map<string, string>();
  #told = 0;
  #toldSince = 0;

  constructor(ground: SinkGround, sinkholes: Sinkholes) {
    this.#ground = ground;
    this.#sinkholes = sinkholes;
  }

  /** Why a stream of this destination was refused last, or undefined. */
  refusal(destination: Destination): string | undefined {
    const suffix = refusalKey('', destination);
    return [...this.#refused].find(([key]) => key.endsWith(suffix))?.[1];
  }

  #tell(facts: { readonly peer: string; readonly destination: string; readonly reason: string }): void {
    const { clock, log } = this.#ground.surroundings;
    const now = clock.now();
    if (now - this.#toldSince >= TOLD_MS) {
      this.#toldSince = now;
      this.#told = 0;
    }
    this.#told++;
    if (this.#told <= TOLD_LARGEST) log.warn(facts, 'stream refused');
    else if (this.#told === TOLD_LARGEST + 1)
      log.warn(facts, 'streams refused: more are not told one by one for a minute');
  }

  /** @param via the neighbour that the frame came by */
  open(via: string, frame: OpenFrame): void {
    const { destination } = frame.address;
    const { agreement, cluster, router } = this.#ground.surroundings;
    const passage = agreement.inbound(via, destination);
    if (!passage.open) return this.#turnAway(frame, passage.detail);
    const crossed = (frame.hops ?? 0) + 1;
    if (crossed > passage.connector.networkTTL) {
      const { name, networkTTL } = passage.connector;
      return this.#turnAway(frame, `it crosses ${crossed} connectors, connector ${name} has networkTTL ${networkTTL}`);
    }
    if (this.#ground.draining) return this.#refuse(frame, `the bridge of ${cluster} is draining`);
    const { brokerDown } = this.#ground;
    if (brokerDown !== undefined) return this.#refuse(frame, `${cluster}: ${brokerDown}`, BLIND_RETRY_MS);
    if (destination.kind !== 'queue') return this.#admit(via, frame, {});
    const demand = this.#ground.table.get(destination.name);
    if (!passage.static && !demand) {
      if (!router.sighted)
        return this.#refuse(frame, `${cluster} does not see the consumers of its broker yet`, BLIND_RETRY_MS);
      // Without a consumer there is no credit, but what was sent before still has to be told apart: stored, or not.
      if (frame.last > frame.settledThrough) return this.#admit(via, frame, {});
      return this.#refuse(frame, `${cluster} has no consumer of it any more`);
    }
    if (demand && !passage.static) return this.#admit(via, frame, demand.properties);
    this.#inspectStatic(via, frame, passage.connector.createDestinations).catch((thrown: unknown) => {
      this.#refuse(frame, messageOf(thrown));
    });
  }

  /** What the queue is was learnt late (a policy, say): a stream that would not be admitted now is refused. */
  judge({ machine, vias }: Sinkhole, properties: QueueProperties): void {
    for (const [source, stream] of machine.streams) {
      const passage = this.#ground.surroundings.agreement.inbound(vias.get(source) ?? source, machine.destination);
      if (!stream.open || !stream.epoch || !passage.open || passage.connector.volatileDestinations === 'allow')
        continue;
      const reason = volatileSink(properties, stream.queue);
      if (!reason) continue;
      this.#refuse({ address: stream.address, ...stream.epoch }, `queue ${machine.destination.name}: ${reason}`);
    }
  }

  /** What the connectors permit has changed: streams that are not permitted any more are refused. */
  reconsider(): void {
    const { agreement, router } = this.#ground.surroundings;
    for (const sinkhole of this.#sinkholes.all()) {
      const { machine, vias } = sinkhole;
      const demand = this.#ground.table.get(machine.destination.name);
      if (machine.destination.kind === 'queue' && demand) this.judge(sinkhole, demand.properties);
      for (const [source, { address, epoch }] of machine.streams) {
        const passage = agreement.inbound(vias.get(source) ?? source, address.destination);
        if (passage.open || !epoch) continue;
        router.send({ kind: 'refuse', address, ...epoch, reason: passage.detail, retryAfterMs: REFUSE_RETRY_MS });
      }
    }
  }

  /** Nothing more may come this way, but what came before still has to be told apart: notes are compared, and that is all. */
  #turnAway(frame: OpenFrame, reason: string): void {
    const { source, destination } = frame.address;
    const sinkhole = this.#sinkholes.get(destination);
    const known = sinkhole?.machine.streams.get(source)?.epoch;
    if (sinkhole && known && compareEpochs(known, frame) === 0) {
      sinkhole.run((machine, now) => machine.opened(frame, now));
      sinkhole.run((machine, now) => machine.linkLost(source, now));
    }
    this.#refuse(frame, reason);
  }

  /** Forwarded without demand: the queue may not even be there. */
  async #inspectStatic(via: string, frame: OpenFrame, create: string): Promise<void> {
    const { broker, cluster, log } = this.#ground.surroundings;
    const { name } = frame.address.destination;
    const found = await broker.source.inspect(name);
    if (found) return this.#admit(via, frame, found.properties);
    if (create !== 'sink' && create !== 'both') {
      const advice = 'declare it, or set createDestinations: sink';
      return this.#refuse(frame, `queue ${name} does not exist on ${cluster}; ${advice}`);
    }
    await broker.source.declare(name, frame.queue);
    log.info({ queue: name, cluster }, 'queue declared');
    this.#admit(via, frame, frame.queue);
  }

  #admit(via: string, frame: OpenFrame, properties: QueueProperties): void {
    const { destination, source } = frame.address;
    const { agreement, cluster } = this.#ground.surroundings;
    if (this.#ground.draining) return this.#refuse(frame, `the bridge of ${cluster} is draining`);
    const passage = agreement.inbound(via, destination);
    if (!passage.open) return this.#refuse(frame, passage.detail);
    const volatility =
      passage.connector.volatileDestinations === 'refuse' ? volatileSink(properties, frame.queue) : undefined;
    const reason = properties.type === 'stream' ? 'it is a stream, which cannot be bridged' : volatility;
    if (reason) return this.#refuse(frame, `queue ${destination.name} on ${cluster}: ${reason}`);
    const sinkhole = this.#sinkholes.of(destination);
    if (!sinkhole) return;
    this.#refused.delete(refusalKey(source, destination));
    sinkhole.vias.set(source, via);
    // The connector of this end: what a peer calls its own is no label of our metrics.
    const opening = { ...frame, connector: passage.connector.name };
    sinkhole.run((machine, now) => machine.opened(opening, now));
    if (passage.static || destination.kind !== 'queue') sinkhole.setStatic(properties);
  }

  #refuse(
    frame: Pick<OpenFrame, 'address' | 'incarnation' | 'epoch'>,
    reason: string,
    retryAfterMs = REFUSE_RETRY_MS,
  ): void {
    const { router } = this.#ground.surroundings;
    const { source, destination } = frame.address;
    const key = refusalKey(source, destination);
    const news = this.#refused.get(key) !== reason;
    this.#refused.delete(key);
    this.#refused.set(key, reason);
    // A peer can ask for any number of streams that nobody permits.
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > REFUSED_LARGEST && oldest !== undefined) this.#refused.delete(oldest);
    if (news) this.#tell({ peer: source, destination: destination.name, reason });
    const { address, incarnation, epoch } = frame;
    router.send({ kind: 'refuse', address, incarnation, epoch, reason, retryAfterMs });
  }
}

function refusalKey(peer: string, destination: Destination): string {
  return `${peer}\u0000${destinationKey(destination)}`;
}

/** Why a queue at the sink is more perishable than the one at the source, or undefined. */
export function volatileSink(sink: QueueProperties, source: QueueProperties): string | undefined {
  if (source.durable === false && sink.durable === false) return undefined;
  const advice = 'messages would be lost with it; set volatileDestinations: allow if that is meant';
  if (sink.exclusive) return `it is exclusive, it goes with its connection and ${advice}`;
  if (sink.autoDelete) return `it is auto-delete, it goes with its last consumer and ${advice}`;
  if (sink.expires) return `it expires when unused, and ${advice}`;
  if (sink.durable === false) return `it is not durable, a restart deletes it and ${advice}`;
  return undefined;
}
