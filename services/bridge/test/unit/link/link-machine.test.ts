import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  admission,
  type LinkEffect,
  type LinkEvent,
  type LinkState,
  linkPolicy,
  step,
  unlinked,
  wakeAt,
} from '../../../src/link/link-machine.ts';

const peer = { instance: 'east-0', life: 'a', attempt: 1, incarnation: 1 };
const { heartbeatMs, handshakeMs, backoff, fastMs } = linkPolicy;

/** The machine on a clock of its own. */
class Walk {
  state: LinkState;
  now = 0;
  random = 0.5;
  effects: LinkEffect[] = [];

  constructor(addresses = 1) {
    this.state = unlinked(addresses);
  }

  feed(...events: LinkEvent[]): this {
    for (const event of events) {
      const [state, effects] = step(this.state, event, this.now, this.random);
      this.state = state;
      this.effects.push(...effects);
    }
    return this;
  }

  /** To the next wake, so much later than asked for. */
  wake(received = 0, lateMs = 0): this {
    this.now = (wakeAt(this.state) ?? this.now) + lateMs;
    return this.feed({ is: 'woke', received });
  }

  did(): string[] {
    return this.effects.splice(0).map((effect) => effect.do);
  }
}

const started: LinkEvent = { is: 'started' };
const proved = (epoch: number): LinkEvent => ({ is: 'proved', epoch });
const established = (epoch: number): LinkEvent => ({ is: 'established', epoch, peer });
const accepted: LinkEvent = { is: 'accepted', peer };
const lost = (epoch: number): LinkEvent => ({ is: 'lost', epoch, sentence: 'It broke.' });
const failed = (epoch: number): LinkEvent => ({ is: 'failed', epoch, sentence: 'Nobody there.' });
const refused = (epoch: number): LinkEvent => ({ is: 'refused', epoch, reason: 'secret', sentence: 'Wrong secret.' });
const standby = (epoch: number): LinkEvent => ({ is: 'refused', epoch, reason: 'standby', sentence: 'A standby.' });
const resigned: LinkEvent = { is: 'resigned', reason: 'standby' };
const stop: LinkEvent = { is: 'stop', reason: 'over' };

const states = {
  idle: () => new Walk(),
  dialing: () => new Walk().feed(started),
  greeting: () => new Walk().feed(started, proved(1)),
  up: () => new Walk().feed(started, proved(1), established(1)),
  backoff: () => new Walk().feed(started, refused(1)),
  draining: () => new Walk().feed(started, proved(1), established(1), stop),
  stopped: () => new Walk().feed(stop),
};

describe('the link machine', () => {
  it.each<[keyof typeof states, string, LinkEvent | 'woke', LinkState['is'], string[]]>([
    ['idle', 'started', started, 'dialing', ['dial']],
    ['idle', 'accepted', accepted, 'up', ['adopt', 'tell-up', 'ping']],
    ['idle', 'stop', stop, 'stopped', []],
    ['idle', 'resigned', resigned, 'idle', []],
    ['dialing', 'proved', proved(1), 'greeting', []],
    ['dialing', 'proved in an old epoch', proved(0), 'dialing', []],
    ['dialing', 'failed', failed(1), 'backoff', ['report']],
    ['dialing', 'lost', lost(1), 'backoff', ['report']],
    ['dialing', 'refused', refused(1), 'backoff', ['report']],
    ['dialing', 'too long', 'woke', 'backoff', ['close', 'report']],
    ['dialing', 'accepted', accepted, 'up', ['close', 'adopt', 'tell-up', 'ping']],
    ['dialing', 'stop', stop, 'stopped', ['close']],
    ['dialing', 'resigned', resigned, 'idle', ['close']],
    ['greeting', 'established', established(1), 'up', ['tell-up', 'ping']],
    ['greeting', 'established in an old epoch', established(0), 'greeting', []],
    ['greeting', 'refused', refused(1), 'backoff', ['report']],
    ['greeting', 'lost', lost(1), 'backoff', ['report']],
    ['greeting', 'too long', 'woke', 'backoff', ['close', 'report']],
    ['greeting', 'accepted', accepted, 'up', ['close', 'adopt', 'tell-up', 'ping']],
    ['greeting', 'stop', stop, 'stopped', ['close']],
    ['up', 'lost', lost(1), 'backoff', ['tell-down', 'report']],
    ['up', 'lost in an old epoch', lost(0), 'up', []],
    ['up', 'a heartbeat', 'woke', 'up', ['ping']],
    ['up', 'accepted', accepted, 'up', ['close', 'tell-down', 'adopt', 'tell-up', 'ping']],
    ['up', 'resigned', resigned, 'idle', ['close', 'tell-down']],
    ['up', 'stop', stop, 'draining', ['close', 'tell-down']],
    ['backoff', 'its end', 'woke', 'dialing', ['dial']],
    ['backoff', 'accepted', accepted, 'up', ['adopt', 'tell-up', 'ping']],
    ['backoff', 'a late loss', lost(1), 'backoff', []],
    ['backoff', 'stop', stop, 'stopped', []],
    ['backoff', 'resigned', resigned, 'idle', []],
    ['draining', 'lost', lost(1), 'stopped', []],
    ['draining', 'too long', 'woke', 'stopped', ['close']],
    ['draining', 'accepted', accepted, 'draining', []],
    ['draining', 'resigned', resigned, 'draining', []],
    ['stopped', 'started', started, 'stopped', []],
    ['stopped', 'accepted', accepted, 'stopped', []],
  ])('in %s, at %s, goes on as drawn', (from, _, event, to, does) => {
    const walk = states[from]();
    walk.did();
    if (event === 'woke') walk.wake();
    else walk.feed(event);
    expect(walk.state.is).toBe(to);
    expect(walk.did()).toEqual(does);
  });

  it('waits for the peer when it does not dial', () => {
    const walk = new Walk(0).feed(started, accepted, lost(1));
    expect(walk.state.is).toBe('idle');
    expect(walk.did()).toEqual(['adopt', 'tell-up', 'ping', 'tell-down', 'report']);
  });

  it('tries every address at once when standbys answer, then backs off', () => {
    const walk = new Walk(3).feed(started, standby(1), standby(2), standby(3));
    expect(walk.effects.filter((effect) => effect.do === 'dial').map(({ address }) => address)).toEqual([0, 1, 2]);
    expect(walk.state.is).toBe('backoff');
  });

  it('backs off with full jitter up to the cap, the first time hardly at all', () => {
    const walk = new Walk().feed(started);
    const waits: number[] = [];
    walk.random = 0.999_999;
    for (let epoch = 1; epoch < 12; epoch++) {
      walk.feed(refused(epoch));
      waits.push(Math.round(wakeAt(walk.state)! - walk.now));
      walk.wake();
    }
    expect(waits.slice(0, 4)).toEqual([fastMs, 200, 400, 800]);
    expect(waits.at(-1)).toBe(backoff.capMs);
  });

  it('dials a broken link again at once, but not one that never lives', () => {
    const walk = states.up();
    walk.now += 5_000;
    walk.random = 0.999_999;
    walk.feed(lost(1));
    expect(wakeAt(walk.state)! - walk.now).toBeLessThanOrEqual(fastMs);
    const waits: number[] = [];
    for (let epoch = 2; epoch < 8; epoch++) {
      walk.wake().feed(proved(epoch), established(epoch));
      walk.now += 10;
      walk.feed(lost(epoch));
      waits.push(wakeAt(walk.state)! - walk.now);
    }
    expect(waits.at(-1)).toBeGreaterThan(3_000);
  });

  it('forgets failures only after the link has lived for a whole cap', () => {
    const walk = new Walk().feed(started, refused(1)).wake().feed(refused(2)).wake().feed(proved(3), established(3));
    walk.now += backoff.capMs;
    walk.feed(lost(3)).wake();
    walk.random = 0.999_999;
    walk.feed(failed(4));
    expect(Math.round(wakeAt(walk.state)! - walk.now)).toBe(backoff.baseMs);
  });

  it('gives up a link after three silent heartbeats, and any byte counts as life', () => {
    const walk = states.up();
    for (let received = 1; received < 20; received++) expect(walk.wake(received).state.is).toBe('up');
    const heardAt = walk.now;
    while (walk.state.is === 'up') walk.wake(19);
    expect(walk.now - heardAt).toBe(3 * heartbeatMs);
  });

  it('does not blame the peer for the time that this process stood still', () => {
    const walk = states.up();
    expect(walk.wake(0, 60_000).state.is).toBe('up');
    expect(walk.wake(1).state.is).toBe('up');
  });

  it('allows a handshake its time and no more', () => {
    const walk = states.greeting();
    expect(wakeAt(walk.state)).toBe(handshakeMs);
  });

  it('lets a proved newcomer in only when the present link has to give way', () => {
    const dialled = states.up();
    const heard = new Walk(0).feed(started, accepted);
    const ask = (walk: Walk, newcomer: Partial<typeof peer>, after = 0) =>
      admission(walk.state, { ...peer, ...newcomer }, true, walk.now + after, 0);
    expect(ask(dialled, {})).toBe('duplicate');
    expect(ask(dialled, { attempt: 2 })).toBe('duplicate');
    expect(ask(heard, { attempt: 2 })).toBe('take');
    for (const walk of [dialled, heard]) {
      expect(ask(walk, { incarnation: 2 })).toBe('take');
      expect(ask(walk, { instance: 'east-1' })).toBe('take');
      expect(ask(walk, { life: 'b' })).toBe('take');
      expect(ask(walk, {}, heartbeatMs + 1)).toBe('take');
      expect(ask(walk, {}, heartbeatMs)).toBe('duplicate');
    }
  });

  it('ends with one and the same connection when both sides dial, however their messages interleave', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (choices) => {
        const both = new BothDial(choices);
        both.run();
        expect(both.ends()).toEqual([both.ends()[0], both.ends()[0]]);
        expect(both.ends()[0]).toMatch(/^(east|west)\d+$/);
        expect(both.ups).toEqual([1, 1]);
      }),
      { numRuns: 1_000 },
    );
  });
});

type Note = {
  connection: string;
  says: 'hello' | 'hello-back' | 'proof' | 'welcome' | 'refusal' | 'closed';
  to: 0 | 1;
};

/** Two machines and what is under way between them, delivered in any order that keeps each connection's. */
class BothDial {
  readonly names = ['east', 'west'] as const;
  readonly sides = [new Walk(), new Walk()] as const;
  readonly held: [Map<number, string>, Map<number, string>] = [new Map(), new Map()];
  readonly ups = [0, 0];
  readonly #choices: Iterator<number>;
  #notes: Note[] = [];
  #adopting = '';

  constructor(choices: Iterator<number>) {
    this.#choices = choices;
  }

  run(): void {
    for (const side of [0, 1] as const) this.#feed(side, started);
    for (let turn = 0; turn < 200; turn++) {
      if (this.#notes.length === 0) {
        if (this.sides.every((side) => side.state.is === 'up')) return;
        for (const side of [0, 1] as const) {
          const walk = this.sides[side];
          if (walk.state.is !== 'backoff') continue;
          walk.now = wakeAt(walk.state)!;
          this.#feed(side, { is: 'woke', received: 0 });
        }
        continue;
      }
      const firsts = this.#notes.filter(
        (note, i) => this.#notes.findIndex((each) => each.connection === note.connection && each.to === note.to) === i,
      );
      const note = firsts[this.#choices.next().value % firsts.length]!;
      this.#notes = this.#notes.filter((each) => each !== note);
      this.#hear(note);
    }
  }

  ends(): (string | undefined)[] {
    return this.sides.map(({ state }, side) =>
      state.is === 'up' ? this.held[side as 0 | 1].get(state.epoch) : state.is,
    );
  }

  #say(connection: string, says: Note['says'], to: number): void {
    this.#notes.push({ connection, says, to: to as 0 | 1 });
  }

  #hear({ connection, says, to: side }: Note): void {
    const other = 1 - side;
    const epoch = [...this.held[side]].find(([, name]) => name === connection)?.[0] ?? -1;
    const walk = this.sides[side];
    switch (says) {
      case 'hello':
        this.#say(connection, 'hello-back', other);
        break;
      case 'hello-back':
        if (epoch < 0) break;
        this.#say(connection, 'proof', other);
        this.#feed(side, proved(epoch));
        break;
      case 'proof': {
        const newcomer = { instance: this.names[other]!, life: 'a', attempt: 1, incarnation: 1 };
        if (admission(walk.state, newcomer, side === 0, walk.now, 0) === 'duplicate') {
          this.#say(connection, 'refusal', other);
          break;
        }
        this.#say(connection, 'welcome', other);
        this.#adopting = connection;
        this.#feed(side, { is: 'accepted', peer: newcomer });
        break;
      }
      case 'welcome':
        if (epoch >= 0) this.#feed(side, { is: 'established', epoch, peer: { ...peer, instance: this.names[other]! } });
        break;
      case 'refusal':
        if (epoch >= 0) this.#feed(side, { is: 'refused', epoch, reason: 'duplicate', sentence: '' });
        break;
      case 'closed':
        if (epoch >= 0) this.#feed(side, lost(epoch));
        break;
    }
  }

  #feed(side: 0 | 1, event: LinkEvent): void {
    const walk = this.sides[side];
    walk.feed(event);
    for (const effect of walk.effects.splice(0)) {
      if (effect.do === 'dial') {
        const connection = `${this.names[side]}${effect.epoch}`;
        this.held[side].set(effect.epoch, connection);
        this.#say(connection, 'hello', 1 - side);
      } else if (effect.do === 'adopt') {
        this.held[side].set(effect.epoch, this.#adopting);
      } else if (effect.do === 'close') {
        const connection = this.held[side].get(effect.epoch)!;
        this.held[side].delete(effect.epoch);
        this.#notes = this.#notes.filter((note) => note.connection !== connection || note.to !== side);
        this.#say(connection, 'closed', 1 - side);
      } else if (effect.do === 'tell-up') {
        this.ups[side]!++;
      }
    }
  }
}
