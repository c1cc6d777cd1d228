import { ManualClock } from '@tombolo/kernel/clock';
import type { OpenFrame, StateFrame, StreamMessage } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import type { SinkEffect } from '../../../src/stream/effects.ts';
import { Recorder } from '../../../src/stream/recorder.ts';
import { SinkStream } from '../../../src/stream/sink-machine.ts';
import { SinkRecords } from '../../../src/stream/sink-records.ts';
import { MemoryRecordStore, RecordServer } from '../../simulation/memory-record.ts';

const address = { source: 'west', sink: 'east', destination: { kind: 'queue', name: 'q' } } as const;
const first = { incarnation: 7, epoch: 1 };
const open: OpenFrame = {
  ...{ kind: 'open', address, ...first, connector: 'c', attempt: 1, last: 0, settledThrough: 0, gone: [], queue: {} },
};

interface Message {
  readonly n: number;
  readonly hasId?: boolean;
  readonly redelivered?: boolean;
  readonly resent?: boolean;
  /** Of which message it is a copy; itself by default. */
  readonly of?: number;
}

function messageOf({ n, hasId = true, redelivered = false, resent = false, of = n }: Message): StreamMessage {
  const digest = new Uint8Array(16).fill(1);
  new DataView(digest.buffer).setUint32(0, of);
  const body = new Uint8Array(1);
  const properties = new Uint8Array(2);
  return { sequence: n, redelivered, resent, digest, hasId, exchange: '', routingKey: 'q', properties, body };
}

const to = (n: number): Message[] => Array.from({ length: n }, (_, i) => ({ n: i + 1 }));

/** A process at the sink: it records in the store, and knows what is there. */
class Process {
  readonly stream = new SinkStream(address, 1);
  readonly told: string[] = [];
  readonly unrecorded: number[] = [];
  readonly recorder: Recorder;
  readonly clock: ManualClock;
  readonly #records: SinkRecords;

  constructor(server: RecordServer, clock: ManualClock) {
    this.clock = clock;
    const log = { debug: () => {}, info: (_: object, text: string) => this.told.push(text) };
    this.recorder = new Recorder({
      store: new MemoryRecordStore(server, clock, clock),
      clock,
      wallClock: () => 1_700_000_000_000 + clock.now(),
      log: { ...log, warn: log.info, error: log.info },
      changed: () => {},
      unrecorded: (_key, _connector, messages) => this.unrecorded.push(messages),
    });
    this.#records = new SinkRecords(this.recorder, clock, () => 1_700_000_000_000 + clock.now());
  }

  /** Reads what is written, and has the stream opened. */
  async open(frame: Partial<OpenFrame> = {}): Promise<SinkEffect[]> {
    let ready = false;
    this.#records.before(address, () => {
      ready = true;
    });
    for (let i = 0; i < 200 && !ready; i++) await pass(this.clock, 10);
    expect(ready).toBe(true);
    this.#records.attach(this.stream);
    this.stream.setMayPublish(true);
    return [
      ...this.stream.opened({ ...open, ...frame }, this.clock.now()),
      ...this.stream.grant(100, this.clock.now()),
    ];
  }

  messages(messages: readonly Message[], epoch = first): SinkEffect[] {
    const last = Math.max(...messages.map(({ n }) => n));
    return this.stream.messages(
      { kind: 'messages', address, ...epoch, attempt: 1, last, messages: messages.map(messageOf) },
      this.clock.now(),
    );
  }

  confirm(...numbers: number[]): SinkEffect[] {
    return this.stream.outcome(this.stream.epoch!, numbers, 'confirmed', undefined);
  }

  state(settledThrough: number, removedThrough: number): void {
    const frame: StateFrame = {
      ...{ kind: 'state', address, ...this.stream.epoch!, settledThrough, removedThrough },
      ...{ creditVersion: 1, taken: 0, returned: [], empty: false },
    };
    this.stream.stated(frame, this.clock.now());
  }
}

/** Lets time pass in which promises settle. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let i = 0; i < ms; i++) {
    clock.advance(1);
    for (let turn = 0; turn < 8; turn++) await undefined;
  }
}

function opened() {
  const server = new RecordServer();
  const clock = new ManualClock();
  const process = () => new Process(server, clock);
  return { server, clock, process };
}

const published = (effects: readonly SinkEffect[]) =>
  effects.flatMap((effect) => (effect.do === 'publish' ? effect.messages.map(({ sequence }) => sequence) : []));
const counted = (effects: readonly SinkEffect[], what: string) =>
  effects.reduce((sum, effect) => (effect.do === 'count' && effect.what === what ? sum + effect.n : sum), 0);
const accepted = (effects: readonly SinkEffect[]) =>
  effects.flatMap((effect) =>
    effect.do === 'send' && (effect.frame.kind === 'resume' || effect.frame.kind === 'settle')
      ? effect.frame.accepted
      : [],
  );

describe('the record of a sink', () => {
  it('lets the next process settle at once what its predecessor had stored, and publish the rest again, counted', async () => {
    const { clock, process } = opened();
    const killed = process();
    await killed.open();
    expect(published(killed.messages(to(6)))).toEqual([1, 2, 3, 4, 5, 6]);
    killed.confirm(1, 2, 4);
    await pass(clock, 10);
    expect(killed.stream.unrecorded).toBe(3);

    const next = process();
    const effects = await next.open({ attempt: 1, last: 8, settledThrough: 0 });
    expect(accepted(effects)).toEqual([1, 2, 4, 4]);
    const again = [3, 5, 6, 7, 8].map((n) => ({ n, resent: true }));
    const effect = next.messages(again);
    expect(published(effect)).toEqual([3, 5, 6, 7, 8]);
    // 7 and 8 were never published; 3, 5 and 6 may be with the broker.
    expect(counted(effect, 'possible-duplicates')).toBe(3);
  });

  it('doubles what was confirmed and not written yet, and says how much that is', async () => {
    const { server, clock, process } = opened();
    const killed = process();
    await killed.open();
    server.latencyMs = 50;
    killed.messages(to(3));
    await pass(clock, 200);
    killed.confirm(1, 2);
    await pass(clock, 20);
    expect(killed.stream.unrecorded).toBe(3);
    await pass(clock, 200);
    expect(killed.stream.unrecorded).toBe(1);
  });

  it('tells a new source what its predecessor had in doubt, also when this process has never met it', async () => {
    const { clock, process } = opened();
    const killed = process();
    await killed.open();
    killed.messages([{ n: 1, hasId: false }, { n: 2 }, { n: 3 }]);
    killed.confirm(1, 2, 3);
    killed.state(1, 1);
    await pass(clock, 100);

    const next = process();
    await next.open({ incarnation: 8 });
    const found = next.stream.inDoubt();
    expect(found.map(({ hasId }) => hasId)).toEqual([true, true]);
    expect(found.map(({ digest }) => new DataView(digest.buffer).getUint32(0))).toEqual([2, 3]);
    expect(found.every(({ since }) => since <= clock.now() - 100)).toBe(true);
    next.stream.forget(clock.now());
    await pass(clock, 10);
    const third = process();
    await third.open({ incarnation: 9 });
    expect(third.stream.inDoubt()).toEqual([]);
  });

  it('suppresses a redelivered copy of a removed message with an id, in the next process too, and once for each', async () => {
    const { clock, process } = opened();
    const killed = process();
    await killed.open();
    killed.messages([{ n: 1 }, { n: 2, of: 1 }, { n: 3, hasId: false }]);
    killed.confirm(1, 2, 3);
    killed.state(3, 3);
    expect(published(killed.messages([{ n: 4, of: 1 }]))).toEqual([4]); // not flagged: another one
    await pass(clock, 100);

    const next = process();
    const second = { incarnation: 8, epoch: 1 };
    await next.open(second);
    const copies = [1, 2, 3].map((n) => ({ n, of: 1, redelivered: true }));
    const effects = next.messages([...copies, { n: 4, of: 3, hasId: false, redelivered: true }], second);
    expect(accepted(effects)).toEqual([1, 2]);
    expect(counted(effects, 'suppressed')).toBe(2);
    expect(published(effects)).toEqual([3, 4]);
  });

  it('keeps nothing in the store that is removed and has no id', async () => {
    const { server, clock, process } = opened();
    const sink = process();
    await sink.open();
    for (let n = 1; n <= 40; n++) {
      sink.messages([{ n, hasId: false }]);
      sink.confirm(n);
      await pass(clock, 5);
    }
    const [fields] = [...server.records.values()];
    expect(fields!.size).toBeGreaterThan(20);
    sink.state(40, 40);
    await pass(clock, 10);
    expect([...fields!.keys()]).toEqual(['e:7.1']);
    sink.stream.closed(first, clock.now());
    await pass(clock, 10);
    expect(server.records.size).toBe(0);
  });

  it('goes on without its store, counts what is at risk, says so once, and writes everything when it is back', async () => {
    const { server, clock, process } = opened();
    const sink = process();
    await sink.open();
    sink.messages(to(3));
    sink.confirm(1, 2, 3);
    await pass(clock, 10);
    const back = server.away();
    sink.messages([{ n: 4 }]);
    expect(accepted(sink.confirm(4))).toEqual([4, 4]);
    await pass(clock, 3_000);
    expect(sink.told).toEqual(['what is in doubt is not recorded: forwarding goes on']);
    expect(sink.unrecorded).toEqual([1]);
    expect(sink.recorder.trouble).toContain('not written');
    server.forget();
    back();
    await pass(clock, 500);
    expect(sink.told.at(-1)).toBe('what is in doubt is recorded again');
    expect(sink.recorder.trouble).toBeUndefined();
    expect(accepted(await process().open({ last: 4 }))).toEqual([1, 4]);
  });

  it('does not write more and more while its store refuses every write', async () => {
    const { server, clock, process } = opened();
    const sink = process();
    await sink.open();
    sink.messages(to(1));
    sink.confirm(1);
    sink.state(1, 0);
    await pass(clock, 20);
    server.refusesWrites = true;
    for (let n = 2; n <= 60; n++) {
      sink.messages([{ n }]);
      sink.confirm(n);
      sink.state(n, n - 1);
      await pass(clock, 300);
    }
    expect(server.refused.writes).toBeGreaterThan(40);
    expect(server.refused.most).toBeLessThan(12);
    server.refusesWrites = false;
    await pass(clock, 1_000);
    const [fields] = server.records.values();
    expect([...fields!.keys()].filter((field) => field.startsWith('i:')).length).toBeLessThan(3);
    const next = process();
    expect(accepted(await next.open({ attempt: 2, last: 60, settledThrough: 59 }))).toEqual([60, 60]);
  });

  it('writes what is known when a read fails while a write is under way', async () => {
    const { server, clock, process } = opened();
    const sink = process();
    await sink.open();
    sink.messages(to(3));
    await pass(clock, 20);
    server.latencyMs = 40;
    sink.confirm(1, 2);
    await pass(clock, 5);
    server.refusesReads = true;
    server.latencyMs = 0.5;
    void sink.recorder.read([{ source: 'west', destination: { kind: 'queue', name: 'other' } }]);
    await pass(clock, 5);
    sink.confirm(3);
    await pass(clock, 3_000);
    server.refusesReads = false;
    const next = process();
    expect(accepted(await next.open({ attempt: 2, last: 3, settledThrough: 0 }))).toEqual([1, 3]);
  });

  it('writes everything again when the store has forgotten it while it was connected', async () => {
    const { server, clock, process } = opened();
    const sink = process();
    await sink.open();
    sink.messages(to(5));
    sink.confirm(1, 2);
    await pass(clock, 10);
    server.forget();
    sink.confirm(3);
    await pass(clock, 20);
    expect(accepted(await process().open({ last: 5 }))).toEqual([1, 3]);
  });

  it('opens a stream without the record when its store is away', async () => {
    const { server, clock, process } = opened();
    server.away();
    const sink = process();
    const before = clock.now();
    const effects = await sink.open({ last: 2 });
    expect(clock.now() - before).toBeLessThan(1_500);
    expect(accepted(effects)).toEqual([]);
    const again = sink.messages([1, 2].map((n) => ({ n, resent: true })));
    expect(published(again)).toEqual([1, 2]);
    expect(counted(again, 'possible-duplicates')).toBe(2);
  });
});
