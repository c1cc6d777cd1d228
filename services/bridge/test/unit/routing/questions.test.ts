import { ManualClock } from '@tombolo/kernel/clock';
import type { Finding, QuestionFrame } from '@tombolo/wire/frame';
import { describe, expect, it } from 'vitest';
import { Questions } from '../../../src/routing/questions.ts';

const destination = { kind: 'queue', name: 'q' } as const;
const finding = (text: string): Finding => ({ code: 'c', state: 'info', text });

/** West asks east; frames wait in `sent` until `deliver`. */
function pair(
  answer: () => Promise<readonly Finding[]>,
  site: (cluster: string) => string | undefined = () => undefined,
) {
  const clock = new ManualClock();
  const sent: QuestionFrame[] = [];
  const end = (cluster: string) =>
    new Questions({
      cluster,
      clock,
      answer,
      site: () => site(cluster),
      send: (frame) => sent.push(frame) > 0 && frame.sink !== 'nowhere',
    });
  const [west, east] = [end('west'), end('east')];
  const deliver = async () => {
    for (let turn = 0; turn < 5; turn++) {
      for (const frame of sent.splice(0)) (frame.kind === 'ask' ? east : west).frame(frame);
      await Promise.resolve();
      await Promise.resolve();
    }
  };
  return { clock, sent, west, east, deliver };
}

describe('questions between bridges', () => {
  it('are answered in as many parts as there is need for, in order', async () => {
    const all = Array.from({ length: 150 }, (_, index) => finding(String(index)));
    const { west, deliver } = pair(async () => all);
    const answer = west.ask('east', destination);
    await deliver();
    expect(await answer).toEqual(all);
  });

  it('are answered with nothing when nothing is known', async () => {
    const { west, deliver } = pair(async () => []);
    const answer = west.ask('east', destination);
    await deliver();
    expect(await answer).toEqual([]);
  });

  it('about a cluster are answered by its own bridge with what it says of itself, and by no other one', async () => {
    const { west, east, deliver, sent } = pair(
      async () => [],
      (cluster) => `{"cluster":"${cluster}"}`,
    );
    const answer = west.askSite('east');
    await deliver();
    expect(await answer).toBe('{"cluster":"east"}');
    east.frame({
      kind: 'ask',
      source: 'west',
      sink: 'east',
      question: 9,
      destination: { kind: 'cluster', name: 'south' },
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(sent.map((frame) => 'site' in frame)).toEqual([false]);
  });

  it('about a cluster that does not tell, as one of an earlier version, have no answer', async () => {
    const { west, deliver } = pair(async () => []);
    const answer = west.askSite('east');
    await deliver();
    expect(await answer).toBeUndefined();
  });

  it('that nobody answers end after two seconds, at once without a way, and when the bridge closes', async () => {
    const { west, clock } = pair(async () => []);
    const answer = west.ask('east', destination);
    clock.advance(2_000);
    expect(await answer).toBeUndefined();
    expect(await west.ask('nowhere', destination)).toBeUndefined();
    const late = west.ask('east', destination);
    west.close();
    expect(await late).toBeUndefined();
  });

  it('are not answered by somebody else, nor by an answer to another question', async () => {
    const { west, clock } = pair(async () => []);
    const answer = west.ask('east', destination);
    const forged = { kind: 'answer' as const, source: 'west', complete: true, findings: [finding('no')] };
    west.frame({ ...forged, sink: 'north', question: 1 });
    west.frame({ ...forged, sink: 'east', question: 2 });
    clock.advance(2_000);
    expect(await answer).toBeUndefined();
  });

  it('above eight at once are dropped, so that a peer cannot keep the broker busy', async () => {
    let asked = 0;
    const { east } = pair(() => {
      asked++;
      return new Promise(() => {});
    });
    for (let question = 1; question <= 20; question++)
      east.frame({ kind: 'ask', source: 'west', sink: 'east', question, destination });
    expect(asked).toBe(8);
  });
});
