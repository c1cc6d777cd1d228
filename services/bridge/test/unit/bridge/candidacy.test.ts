import { ManualClock } from '@tombolo/kernel/clock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { BrokerState } from '../../../src/broker/port.ts';
import { Candidacy } from '../../../src/candidacy.ts';
import type { Election, ElectionListener, ElectionView } from '../../../src/election/election.ts';

const graceMs = 3_000;
const master: BrokerState = { is: 'master', uri: 'amqp://a', product: 'p', clusterName: 'c' };
const standby: BrokerState = { is: 'standby', uri: 'amqp://a', reason: 'another bridge holds the lock' };
const down: BrokerState = { is: 'down', attempt: 1 };

/** An election in the hands of the test. */
class HeldElection implements Election {
  listener!: ElectionListener;
  readonly told: string[] = [];
  view: ElectionView = { type: 'redis', role: 'standby', holder: undefined, reason: undefined };
  start(listener: ElectionListener): void {
    this.listener = listener;
  }
  eligible(is: boolean): void {
    this.told.push(is ? 'eligible' : 'barred');
  }
  seen(incarnation: number): void {
    this.told.push(`seen ${incarnation}`);
  }
  async stop(): Promise<void> {
    this.told.push('stop');
  }
  mayWrite(): boolean {
    return true;
  }
  remainingMs(): number {
    return 0;
  }
}

describe('a candidacy', () => {
  let clock: ManualClock;
  let election: HeldElection;
  let did: string[];
  let endings: (() => void)[];
  let candidacy: Candidacy;

  beforeEach(() => {
    clock = new ManualClock();
    election = new HeldElection();
    did = [];
    endings = [];
    candidacy = new Candidacy({
      ...{ election, clock, graceMs },
      wallClock: () => 1_000,
      claim: (wanted) => did.push(wanted ? 'claim' : 'give back'),
      begin: (incarnation) => did.push(`begin ${incarnation}`),
      end: (_reason, orderly) => {
        did.push(orderly ? 'end in order' : 'end');
        return new Promise((resolve) => endings.push(resolve));
      },
    });
    candidacy.start();
  });

  const ended = async (): Promise<void> => {
    endings.shift()!();
    for (let turn = 0; turn < 5; turn++) await undefined;
  };

  it('claims the lock once elected, and works once it holds it', () => {
    candidacy.brokerChanged(standby);
    expect(election.told).toEqual(['eligible']);
    expect(did).toEqual([]);
    election.listener.elected(7);
    expect(did).toEqual(['claim']);
    expect(candidacy.reigns).toBe(false);
    candidacy.brokerChanged(master);
    expect(did).toEqual(['claim', 'begin 7']);
    expect([candidacy.reigns, candidacy.incarnation]).toEqual([true, 7]);
  });

  it('that loses its election works no more at once, and gives the lock back when what was under way is settled', async () => {
    election.listener.elected(7);
    candidacy.brokerChanged(master);
    did.length = 0;
    election.listener.lost('the lease ran out');
    expect(did).toEqual(['end in order']);
    expect(candidacy.reigns).toBe(false);
    await ended();
    expect(did).toEqual(['end in order', 'give back']);
  });

  it('that is elected again while it winds down begins anew, with the new token, and keeps the lock', async () => {
    election.listener.elected(7);
    candidacy.brokerChanged(master);
    election.listener.lost('Redis does not answer');
    did.length = 0;
    election.listener.elected(9);
    expect(did).toEqual([]);
    await ended();
    expect(did).toEqual(['claim', 'begin 9']);
  });

  it('whose lock is taken by another bridge ends at once, and stays elected', async () => {
    election.listener.elected(7);
    candidacy.brokerChanged(master);
    did.length = 0;
    candidacy.brokerChanged(down);
    expect(did).toEqual([]);
    candidacy.brokerChanged(standby);
    expect(did).toEqual(['end']);
    await ended();
    expect(did).toEqual(['end', 'claim']);
  });

  it('keeps the mastership while its broker is away for less than the grace, and no longer', () => {
    election.listener.elected(7);
    candidacy.brokerChanged(master);
    candidacy.brokerChanged(down);
    candidacy.brokerChanged({ is: 'connecting', uri: 'amqp://a' });
    clock.advance(graceMs - 1);
    expect(election.told).toEqual(['eligible']);
    candidacy.brokerChanged(master);
    clock.advance(graceMs);
    expect(election.told).toEqual(['eligible', 'eligible']);
    candidacy.brokerChanged(down);
    clock.advance(graceMs);
    expect(election.told.at(-1)).toBe('barred');
  });

  it('asks an election with tokens for a higher one when a peer knows a later incarnation', () => {
    candidacy.peersSaw(12);
    expect(election.told).toEqual(['seen 12']);
  });

  it('that was stopped does nothing any more, and leaves the election last', async () => {
    election.listener.elected(7);
    candidacy.brokerChanged(master);
    did.length = 0;
    candidacy.stop();
    candidacy.brokerChanged(down);
    election.listener.lost('stopped');
    clock.advance(graceMs);
    await candidacy.leave();
    expect(did).toEqual([]);
    expect(election.told.at(-1)).toBe('stop');
  });

  it('that is not to stand for election gives its mastership up in order, and is not elected however often its broker comes back', async () => {
    candidacy.brokerChanged(master);
    election.listener.elected(7);
    const stands = candidacy.stand(false, 'it is drained');
    expect(election.told).toEqual(['eligible', 'barred']);
    election.listener.lost('it is drained');
    expect(did.slice(-1)).toEqual(['end in order']);
    await Promise.all([ended(), stands]);
    expect(did.at(-1)).toBe('give back');
    candidacy.brokerChanged(down);
    candidacy.brokerChanged(standby);
    expect(election.told.filter((told) => told === 'eligible')).toHaveLength(1);
    await candidacy.stand(true);
    expect(election.told.at(-1)).toBe('eligible');
  });
});

describe('a candidacy without tokens', () => {
  it('takes a higher incarnation than what peers know, and serves it anew', async () => {
    const election = new HeldElection();
    election.view = { ...election.view, type: 'broker' };
    const begun: number[] = [];
    const candidacy = new Candidacy({
      ...{ election, clock: new ManualClock(), graceMs },
      wallClock: () => 1_000,
      claim: () => {},
      begin: (incarnation) => begun.push(incarnation),
      end: async () => {},
    });
    candidacy.start();
    election.listener.elected(undefined);
    candidacy.brokerChanged(master);
    candidacy.peersSaw(5_000);
    for (let turn = 0; turn < 5; turn++) await undefined;
    expect(begun).toEqual([1_000, 5_001]);
  });
});
