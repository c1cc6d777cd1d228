import { describe, expect, it } from 'vitest';
import { coloured, paper } from '../src/display.ts';
import { renderTrace } from '../src/trace.ts';

const trace = {
  destination: 'orders.eu',
  items: [
    {
      cluster: 'west',
      findings: [
        { code: 'backlog', state: 'info' as const, text: 'queue orders.eu: 3 messages ready' },
        { code: 'included', state: 'ok' as const, text: 'connector w-e (west -> east): includes it' },
      ],
    },
    {
      cluster: 'east',
      findings: [{ code: 'broker_down', state: 'stops' as const, text: 'its broker is gone\u001b[2J' }],
    },
    { cluster: 'north', findings: [] },
  ],
  conclusion: 'Messages wait at west because, at east, its broker is gone.',
};

describe('a trace on the terminal', () => {
  it('has a section for each cluster, a line for each finding, and ends with the conclusion', () => {
    expect(renderTrace(trace)).toBe(
      [
        'orders.eu',
        '',
        'west',
        '    queue orders.eu: 3 messages ready',
        '  + connector w-e (west -> east): includes it',
        '',
        'east',
        '  ! its broker is gone\ufffd[2J',
        '',
        'north',
        '    nothing is known of it here',
        '',
        'Messages wait at west because, at east, its broker is gone.',
        '',
      ].join('\n'),
    );
  });

  it('shows in red what stops messages', () => {
    expect(renderTrace(trace, { ...paper, palette: coloured })).toContain('\u001b[31m!\u001b[0m its broker is gone');
  });
});
