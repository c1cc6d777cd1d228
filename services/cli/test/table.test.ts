import { describe, expect, it } from 'vitest';
import { coloured, outputDisplay, paper, plain, renderSentence } from '../src/display.ts';
import { renderTable } from '../src/table.ts';

interface Row {
  readonly name: string;
  readonly size: number | undefined;
  readonly why: string;
}

const columns = [
  { title: 'NAME', cell: ({ name }: Row) => name },
  { title: 'SIZE', align: 'right' as const, cell: ({ size }: Row) => size },
  { title: 'WHY', cell: ({ why }: Row) => why },
];
const long = 'queue orders does not exist on west: declare it there';

describe('a table', () => {
  it('aligns columns and shows what is not known as a dash', () => {
    const rows = [
      { name: 'a', size: 1000, why: '' },
      { name: 'longer', size: undefined, why: 'x' },
    ];
    expect(renderTable(rows, columns)).toEqual(['NAME    SIZE  WHY', 'a       1000', 'longer     –  x']);
  });

  it('keeps its columns where names have wide characters', () => {
    const rows = [
      { name: '注文', size: 1, why: '' },
      { name: 'abcd', size: 2, why: '' },
    ];
    expect(renderTable(rows, columns)).toEqual(['NAME  SIZE  WHY', '注文     1', 'abcd     2']);
  });

  it('puts a reason that is too long for the terminal over several lines in its column', () => {
    const rows = [{ name: 'orders', size: 3, why: long }];
    const lines = renderTable(rows, columns, { palette: plain, columns: 45 });
    expect(lines).toEqual([
      'NAME    SIZE  WHY',
      'orders     3  queue orders does not exist on',
      '              west: declare it there',
    ]);
  });

  it('puts it below its row where names leave too little room, and cuts nothing off', () => {
    const rows = [{ name: 'a-queue-with-a-long-name', size: 3, why: long }];
    const lines = renderTable(rows, columns, { palette: plain, columns: 40 });
    expect(lines).toEqual([
      'NAME                      SIZE',
      'a-queue-with-a-long-name     3',
      '    queue orders does not exist on west:',
      '    declare it there',
    ]);
  });
});

describe('the display', () => {
  const at = (stdout: object, env = {}) =>
    outputDisplay({ stdout: stdout as typeof process.stdout, env: env as typeof process.env });

  it('is coloured and as wide as the terminal', () => {
    expect(at({ isTTY: true, columns: 90 })).toEqual({ palette: coloured, columns: 90 });
    expect(at({ isTTY: false })).toEqual(paper);
  });

  it('has no colours where NO_COLOR is set to anything, or the terminal has none', () => {
    expect(at({ isTTY: true, columns: 90 }, { NO_COLOR: '1' }).palette).toBe(plain);
    expect(at({ isTTY: true, columns: 90 }, { TERM: 'dumb' }).palette).toBe(plain);
    expect(at({ isTTY: true, columns: 90 }, { NO_COLOR: '' }).palette).toBe(coloured);
  });

  it('continues a sentence below its first word', () => {
    const display = { palette: plain, columns: 30 };
    expect(renderSentence('  - ', 'The link to east is down: connection refused', display)).toEqual([
      '  - The link to east is down:',
      '    connection refused',
    ]);
  });
});
