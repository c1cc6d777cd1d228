import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const source = new URL('../page/', import.meta.url);

describe('the files of the console', () => {
  it('make no markup of text, and have no script or style where the policy would refuse it', () => {
    const files = readdirSync(source).filter((name) => name.endsWith('.js'));
    expect(files).toContain('console.js');
    for (const name of files) {
      const text = readFileSync(new URL(name, source), 'utf8');
      expect([
        name,
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc/.exec(text),
      ]).toEqual([name, null]);
    }
    const page = readFileSync(new URL('index.html', source), 'utf8');
    expect(/<script(?![^>]*src=)|<style|\son\w+=|\sstyle=/.exec(page)).toBeNull();
  });
});
