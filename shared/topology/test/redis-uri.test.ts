import { expect, it } from 'vitest';
import { parseRedisUri, redisUriWithoutCredentials } from '../src/redis-uri.ts';

it('a server has a port and a database, also when the URI does not say so', () => {
  expect(parseRedisUri('redis://redis.east')).toEqual({
    kind: 'server',
    tls: false,
    hosts: [{ host: 'redis.east', port: 6379 }],
    username: undefined,
    password: undefined,
    database: 0,
  });
  expect(parseRedisUri('rediss://tombolo:p%40ss@[::1]:6380/2')).toEqual({
    kind: 'server',
    tls: true,
    hosts: [{ host: '::1', port: 6380 }],
    username: 'tombolo',
    password: 'p@ss',
    database: 2,
  });
  expect(parseRedisUri('redis://:only-password@host')).toMatchObject({
    username: undefined,
    password: 'only-password',
  });
});

it('Sentinels are listed with the group that they watch', () => {
  expect(parseRedisUri('redis+sentinel://:pw@a,b:26380/mymaster/1')).toEqual({
    kind: 'sentinel',
    tls: false,
    hosts: [
      { host: 'a', port: 26_379 },
      { host: 'b', port: 26_380 },
    ],
    username: undefined,
    password: 'pw',
    group: 'mymaster',
    database: 1,
  });
});

it('a Redis Cluster is known by some of its nodes', () => {
  expect(parseRedisUri('rediss+cluster://a:7000,b:7001')).toMatchObject({
    kind: 'cluster',
    tls: true,
    hosts: [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
    ],
  });
});

it.each([
  'http://redis',
  'redis://',
  'redis://a,b',
  'redis://host/zero',
  'redis://host:99999',
  'redis+sentinel://a,b',
  'redis+sentinel://a,b/',
  'redis+sentinel://a,,b/name',
  'redis+cluster://a/1',
  'redis+sentinel://a/name/0/more',
  'redis://host?database=1',
])('%s is refused', (uri) => {
  expect(parseRedisUri(uri)).toBeUndefined();
});

it('what is logged of a URI has no credentials in it', () => {
  expect(redisUriWithoutCredentials('redis+sentinel://user:p@ss@a:1,b:2/name')).toBe('redis+sentinel://a:1,b:2/name');
  expect(redisUriWithoutCredentials('redis://host:1/0')).toBe('redis://host:1/0');
});
