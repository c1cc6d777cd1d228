import { describe, expect, it } from 'vitest';
import { createLog, logLevel } from '../../../src/telemetry/log.ts';
import { Redactor } from '../../../src/telemetry/redactor.ts';

function logged(secrets: readonly string[]) {
  const lines: string[] = [];
  const log = createLog({
    level: 'debug',
    redactor: new Redactor(secrets),
    destination: { write: (line: string) => void lines.push(line) },
  });
  return { log, text: () => lines.join(''), last: () => JSON.parse(lines.at(-1) ?? '') };
}

describe('the log', () => {
  it('writes one line of JSON with a named level, a constant phrase and fields', () => {
    const { log, last } = logged([]);
    log.child({ cluster: 'west' }).info({ peer: 'east' }, 'link up');
    expect(last()).toMatchObject({ level: 'info', cluster: 'west', peer: 'east', msg: 'link up' });
    expect(last().time).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it('shows a known secret nowhere: not in the message, a field, a list, a binding, an error, its cause or stack', () => {
    const secret = 'p"ss\\wörd/7';
    const { log, text, last } = logged([secret]);
    const cause = new Error(`cause ${secret}`);
    const error = Object.assign(new Error(`login failed for ${secret}`, { cause }), { detail: { password: secret } });
    log.child({ binding: `b ${secret}` }).error({ err: error, list: [{ deep: secret }], fine: 7 }, `m ${secret}`);
    log.error(error);
    expect(text()).not.toContain(secret);
    expect(text()).not.toContain('ss\\\\w');
    expect(text()).not.toContain('wörd');
    expect(last()).toMatchObject({ level: 'error', msg: 'login failed for ***' });
  });

  it('shows no credentials of a URI, known or not, and no authorization', () => {
    const { log, last } = logged([]);
    log.info({ uri: 'amqps://bob:s3cr3t@rabbit:5671/%2F', header: 'Basic Ym9iOnMzY3IzdA==' }, 'dialing');
    expect(last()).toMatchObject({ uri: 'amqps://***@rabbit:5671/%2F', header: 'Basic ***' });
  });

  it('shows a secret neither as a URI nor as base64 spells it', () => {
    const redactor = new Redactor(['a b%c?d']);
    expect(redactor.text(`${encodeURIComponent('a b%c?d')} ${btoa('a b%c?d')}`)).toBe('*** ***');
  });

  it('stays JSON when a secret is the name of one of its fields', () => {
    const { log, last } = logged(['level', 'msg', 'a', '"']);
    log.info({ a: 'a banana', time: 'level' }, 'an "a" msg');
    expect(last()).toMatchObject({ level: 'info', a: '*** banana' });
  });

  it('replaces the longer of two secrets that begin alike', () => {
    expect(new Redactor(['abcd', 'abcdefgh']).text('abcdefgh abcd')).toBe('*** ***');
  });

  it('refuses a level that does not exist and names those that do', () => {
    expect(logLevel(undefined)).toBe('info');
    expect(logLevel('DEBUG')).toBe('debug');
    expect(() => logLevel('loud')).toThrow(/no log level "loud".*trace, debug, info/);
  });
});
