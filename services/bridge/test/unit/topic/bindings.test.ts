import { type Binding, bindingText } from '@tombolo/wire/binding';
import type { BindingUpdate } from '@tombolo/wire/frame';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BindingCopy, BindingLog, type Held } from '../../../src/topic/bindings.ts';

const binding = (routingKey: string, args = {}): Binding => ({ routingKey, arguments: args });
const texts = (bindings: readonly Binding[]) => bindings.map(bindingText).sort();

/** Has the copy ask until it holds what the log holds, as a link without faults would let it. */
function catchUp(log: BindingLog, copy: BindingCopy, maxBytes?: number): void {
  for (const update of log.since(copy.held, maxBytes)) copy.apply(update);
}

describe('the bindings of a sink', () => {
  test('are told whole at first, then what came and went', () => {
    const log = new BindingLog(1);
    log.replace([binding('a'), binding('b', { x: 1 }), binding('c')]);
    const copy = new BindingCopy();
    catchUp(log, copy);
    expect(texts(copy.bindings)).toEqual(['["a"]', '["b",{"x":1}]', '["c"]']);
    log.change([binding('d'), binding('a')], [binding('b', { x: 1 }), binding('never')]);
    expect(log.since(copy.held)).toEqual([
      { is: 'ops', incarnation: 1, from: 3, ops: ['+["d"]', '-["b",{"x":1}]'] },
    ] satisfies BindingUpdate[]);
    catchUp(log, copy);
    expect(texts(copy.bindings)).toEqual(['["a"]', '["c"]', '["d"]']);
    expect(log.since(copy.held)).toEqual([]);
  });

  test('are told whole to who is too old, of another incarnation, or ahead of what there is', () => {
    const log = new BindingLog(7, { maxOps: 4 });
    log.replace(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => binding(key)));
    const isWhole = (held: Held | undefined) => log.since(held).every((update) => update.is === 'full');
    expect(isWhole(undefined)).toBe(true);
    expect(isWhole({ incarnation: 7, version: 1 })).toBe(true);
    expect(isWhole({ incarnation: 6, version: 5 })).toBe(true);
    expect(isWhole({ incarnation: 7, version: 99 })).toBe(true);
    expect(isWhole({ incarnation: 7, version: 5 })).toBe(false);
  });

  test('are told in chunks that keep their bound, and one that is larger goes alone', () => {
    const log = new BindingLog(1);
    log.replace([
      ...Array.from({ length: 500 }, (_, index) => binding(`key.${index}`)),
      binding('ü'.repeat(120), { long: 'x'.repeat(2_000) }),
    ]);
    const updates = log.since(undefined, 1_000);
    for (const update of updates) {
      if (update.is !== 'full') throw new Error('not whole');
      const bytes = update.bindings.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      expect(bytes <= 1_000 || update.bindings.length === 1).toBe(true);
    }
    const copy = new BindingCopy();
    const answers = [...updates].reverse().map((update) => copy.apply(update));
    expect(answers.filter((answer) => answer === 'changed')).toHaveLength(1);
    expect(answers.at(-1)).toBe('changed');
    expect(copy.bindings).toHaveLength(501);
  });

  test('of a sink that came back replace those of before, and late news of before count for nothing', () => {
    const old = new BindingLog(1);
    old.replace([binding('old')]);
    const copy = new BindingCopy();
    catchUp(old, copy);
    old.change([binding('late')], []);
    const late = old.since(copy.held);
    const fresh = new BindingLog(2);
    fresh.replace([binding('new')]);
    expect(copy.apply({ is: 'ops', incarnation: 2, from: 0, ops: ['+["new"]'] })).toBe('gap');
    expect(texts(copy.bindings)).toEqual(['["old"]']);
    catchUp(fresh, copy);
    expect(late.map((update) => copy.apply(update))).toEqual(['known']);
    expect(texts(copy.bindings)).toEqual(['["new"]']);
  });

  test('that are none are refused before anything is changed', () => {
    const log = new BindingLog(1);
    log.replace([binding('a'), binding('b'), binding('c')]);
    const copy = new BindingCopy();
    catchUp(log, copy);
    expect(() => copy.apply({ is: 'ops', incarnation: 1, from: 3, ops: ['-["a"]', '+nonsense'] })).toThrow();
    expect(copy.held).toEqual({ incarnation: 1, version: 3 });
    expect(texts(copy.bindings)).toEqual(['["a"]', '["b"]', '["c"]']);
  });

  test('are at any version what they were at the sink, whatever is lost, doubled and reordered on the way', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'a.#', '#');
    const change = fc.record({
      do: fc.constantFrom('add', 'add', 'remove', 'replace', 'ask', 'restart'),
      keys: fc.array(key, { maxLength: 4 }),
      /** How far ahead of what is under way the next delivered update stands; undefined: it is lost. */
      deliver: fc.array(fc.record({ at: fc.nat(20), keep: fc.boolean() }), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.nat(6), (schedule, ops) => {
        let log = new BindingLog(1, { maxOps: ops + 2 });
        let model = new Set<string>();
        const history = new Map<string, string[]>();
        const remember = () => history.set(JSON.stringify(log.held), [...model].sort());
        remember();
        const copy = new BindingCopy();
        let way: BindingUpdate[] = [];
        for (const step of schedule) {
          // One at a time, so that every version is known to the model.
          for (const routingKey of step.keys) {
            const one = binding(routingKey);
            if (step.do === 'add') {
              log.change([one], []);
              model.add(bindingText(one));
            }
            if (step.do === 'remove') {
              log.change([], [one]);
              model.delete(bindingText(one));
            }
            remember();
          }
          if (step.do === 'replace') {
            log.replace(step.keys.map((routingKey) => binding(routingKey)));
            model = new Set(step.keys.map((routingKey) => bindingText(binding(routingKey))));
            remember();
          }
          if (step.do === 'restart') {
            log = new BindingLog(log.held.incarnation + 1, { maxOps: ops + 2 });
            model = new Set();
            remember();
          }
          if (step.do === 'ask') way.push(...log.since(copy.held, 12));
          for (const { at, keep } of step.deliver) {
            const index = way.length > 0 ? at % way.length : 0;
            const update = way[index];
            if (!update) break;
            const before = copy.held;
            copy.apply(update);
            const { held } = copy;
            if (held && before) {
              const isYounger =
                held.incarnation > before.incarnation ||
                (held.incarnation === before.incarnation && held.version >= before.version);
              expect(isYounger).toBe(true);
            }
            const then = history.get(JSON.stringify(held));
            // A replacement of several is seen in between, too: those versions the model does not know.
            if (held && then) expect(texts(copy.bindings)).toEqual(then);
            if (!keep) way = way.filter((_, other) => other !== index);
          }
        }
        catchUp(log, copy, 12);
        expect(copy.held).toEqual(log.held);
        expect(texts(copy.bindings)).toEqual([...model].sort());
      }),
      { numRuns: 1_000 },
    );
  });
});
