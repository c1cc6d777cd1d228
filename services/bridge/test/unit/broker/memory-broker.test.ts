import { ManualClock } from '@tombolo/kernel/clock';
import { expect, test } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory/memory-broker.ts';
import { MemoryServer } from '../../../src/broker/memory/memory-server.ts';

test('a standby that heard of an alarm and then lost its connection does not believe in the alarm for ever', () => {
  const clock = new ManualClock();
  const server = new MemoryServer(clock);
  const blocked: (string | undefined)[] = [];
  const broker = new MemoryBroker({ cluster: 'east' }, server, {
    stateChanged: () => {},
    blocked: (reason) => blocked.push(reason),
  });
  broker.start();
  clock.advance(10);
  server.block('memory');
  clock.advance(10);
  server.crash();
  clock.advance(1);
  expect(blocked).toEqual(['memory', undefined]);
});
