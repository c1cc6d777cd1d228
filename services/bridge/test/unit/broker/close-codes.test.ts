import { expect, test } from 'vitest';
import { connectFault, queueFault } from '../../../src/broker/rabbitmq/close-codes.ts';

test("a wrong password's fault ends the broker's sentence with one full stop", () => {
  const refusal =
    'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."';
  const attempt = { address: 'amqp://here:5672', vhost: '/', username: 'bridge' };
  const { message } = connectFault(new Error(refusal), attempt);
  expect(message).toContain('see the broker logfile. Check user name and password');
  expect(message).not.toContain('..');
});

test("words of the broker without a full stop get the fault's own", () => {
  const refusal = Object.assign(
    new Error('Operation failed: 406 (PRECONDITION-FAILED) with message "inequivalent arg"'),
    {
      code: 406,
    },
  );
  expect(queueFault(refusal, 'Declaring', 'q', 'here').message).toMatch(/refused: inequivalent arg\.$/);
});

test('a queue whose node is down is not called absent', () => {
  const refusal = (words: string) =>
    Object.assign(new Error(`Operation failed: QueueDeclare; 404 (NOT-FOUND) with message "NOT_FOUND - ${words}"`), {
      code: 404,
    });
  const down = "home node 'a@host' of durable queue 'q' in vhost '/' is down or inaccessible";
  expect(queueFault(refusal(down), 'Consuming from', 'q', 'here')).toMatchObject({
    code: 'TOMBOLO_QUEUE_UNAVAILABLE',
    message: expect.stringMatching(/has to wait: NOT_FOUND - home node 'a@host'.* Its messages are there again/),
  });
  expect(queueFault(refusal("no queue 'q' in vhost '/'"), 'Looking at', 'q', 'here').code).toBe('TOMBOLO_QUEUE_ABSENT');
});
