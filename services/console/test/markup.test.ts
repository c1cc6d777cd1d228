// @vitest-environment happy-dom
import * as dagre from '@dagrejs/dagre';
import { beforeEach, describe, expect, it } from 'vitest';
import { element, keyed, printable } from '../page/elements.js';
import { NetworkGraph } from '../page/graph.js';
import { pictureOf } from '../page/model.js';
import { fillTable } from '../page/tables.js';

const hostile = '<img src=x onerror="globalThis.harmed=true">';

declare const document: {
  readonly body: Body;
  createElement(name: string): Body;
};
interface Body {
  innerHTML: string;
  readonly textContent: string;
  readonly children: readonly Body[];
  readonly firstElementChild: Body;
  querySelector(selector: string): (Body & { getAttribute(name: string): string; focus(): void }) | null;
  querySelectorAll(selector: string): ArrayLike<Body>;
  append(...nodes: unknown[]): void;
  replaceChildren(): void;
  dispatchEvent(event: unknown): void;
}

beforeEach(() => document.body.replaceChildren());

describe('names with markup in them', () => {
  it('are text in tables', () => {
    const table = document.createElement('table');
    const columns = [{ title: 'Name', text: (row: { name: string }) => row.name }];
    fillTable(table, columns, [{ name: hostile }], ({ name }: { name: string }) => name, 'none');
    document.body.append(table);
    expect(document.body.querySelector('img')).toBeNull();
    expect(document.body.querySelector('tbody')!.textContent).toBe(hostile);
  });

  it('are text in the drawing, and in what is read aloud of it', () => {
    const connector = { name: hostile, from: hostile, to: 'east', duplex: true, state: 'up' };
    const picture = pictureOf({
      cluster: hostile,
      clusters: [
        { name: hostile, seen: 'silent' },
        { name: 'east', seen: 'silent' },
      ],
      connectors: [connector],
      links: [{ between: [hostile, 'east'], state: 'down', reason: hostile }],
      flows: [],
    } as never);
    const graph = new NetworkGraph(document.body, () => {}, dagre);
    graph.draw(picture, {});
    expect(document.body.querySelector('img')).toBeNull();
    const cluster = document.body.querySelector('.cluster')!;
    expect(cluster.getAttribute('aria-label')).toContain(hostile);
    expect(cluster.querySelector('title')!.textContent).toContain(hostile);
  });

  it('cannot turn the direction of what follows, nor hide', () => {
    expect(printable('a\u202eb\u0000c\u2066d\ne')).toBe('a\ufffdb\ufffdc\ufffdd\ufffde');
  });
});

describe('the drawing', () => {
  const picture = (names: readonly string[], perSecond = 0) =>
    pictureOf({
      cluster: 'hub',
      clusters: ['hub', ...names].map((name) => ({ name, seen: 'silent' })),
      connectors: names.map((name) => ({ name: `to-${name}`, from: 'hub', to: name, duplex: true, state: 'up' })),
      links: [],
      flows: names.map((name) => ({ from: 'hub', to: name, perSecond, relayed: 0, connectors: [] })),
    } as never);

  it('keeps its nodes when only rates change, so that focus and places stay', () => {
    const graph = new NetworkGraph(document.body, () => {}, dagre);
    graph.draw(picture(['a', 'b']), {});
    const before = document.body.querySelector('.cluster');
    graph.draw(picture(['a', 'b'], 100), {});
    expect(document.body.querySelector('.cluster')).toBe(before);
    expect(document.body.querySelector('.arrow .rate')!.textContent).toBe('100/s');
  });

  it('can be used with the keyboard alone', () => {
    const chosen: unknown[] = [];
    const graph = new NetworkGraph(document.body, (choice: unknown) => chosen.push(choice), dagre);
    graph.draw(picture(['a']), { cluster: 'a' });
    const buttons = document.body.querySelectorAll('[role=button][tabindex="0"]');
    expect(buttons.length).toBe(4);
    const { KeyboardEvent } = globalThis as never as { KeyboardEvent: new (type: string, init: object) => unknown };
    document.body.querySelector('.arrow')!.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
    document.body.querySelector('.cluster')!.dispatchEvent(new KeyboardEvent('keydown', { key: ' ' }));
    document.body.querySelector('.cluster')!.dispatchEvent(new KeyboardEvent('keydown', { key: 'x' }));
    expect(chosen).toEqual([{ arrow: ['hub', 'a'] }, { cluster: 'hub' }]);
    expect(document.body.querySelector('.cluster.chosen')!.getAttribute('aria-pressed')).toBe('true');
  });

  it('gives twelve clusters places of their own', () => {
    const graph = new NetworkGraph(document.body, () => {}, dagre);
    graph.draw(picture([...'abcdefghijk']), {});
    const places = [
      ...(document.body.querySelectorAll('.cluster') as never as Iterable<{ getAttribute(name: string): string }>),
    ];
    const boxes = places.map(
      (node) =>
        node
          .getAttribute('transform')
          .match(/-?[\d.]+/g)!
          .map(Number) as [number, number],
    );
    expect(boxes).toHaveLength(12);
    for (const [i, [x, y]] of boxes.entries())
      for (const [x2, y2] of boxes.slice(i + 1)) expect(Math.abs(x - x2) >= 190 || Math.abs(y - y2) >= 66).toBe(true);
  });
});

describe('keyed children', () => {
  it('are moved, made and removed, and stay the same nodes', () => {
    const list = document.createElement('ul');
    const draw = (items: readonly string[]) => {
      keyed(
        list,
        items,
        (item: string) => item,
        (item: string) => element('li', {}, item),
        () => {},
      );
      return [...list.children].map(({ textContent }) => textContent).join('');
    };
    expect(draw(['a', 'b', 'c'])).toBe('abc');
    const [, b] = list.children;
    expect(draw(['c', 'b', 'd'])).toBe('cbd');
    expect(list.children[1]).toBe(b);
    expect(draw([])).toBe('');
  });
});
