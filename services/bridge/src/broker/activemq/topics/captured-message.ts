import { toEnvelope } from '../mapping/to-envelope.ts';
import { toFrame } from '../mapping/to-frame.ts';
import type { StompFrame } from '../stomp-codec.ts';

/** Of messages in buffers only: which topic they were published to. */
const topicHeader = 'tombolo_topic';
const bufferPrefix = 'tombolo.topic.';

/** True: a queue that keeps what topics were given, for one peer. */
export function isBuffer(queue: string): boolean {
  return queue.startsWith(bufferPrefix);
}

/** What is sent to a buffer, but for its destination. */
export interface CapturedMessage {
  readonly topic: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** A message of a topic as it is kept in buffers: its properties, id and times as the topic was given them. */
export function captured({ headers, body }: StompFrame, nowMs: number): CapturedMessage {
  const message = toEnvelope(headers, body);
  const kept = toFrame({ ...message, exchange: '', routingKey: '' }, nowMs);
  const others = [...kept.headers].filter(([name]) => name !== 'destination');
  return { topic: message.routingKey, headers: [...others, [topicHeader, message.routingKey]], body: kept.body };
}

/** The opposite: the message as the topic gave it. What is no buffer's is left as it is. */
export function released(queue: string, frames: readonly StompFrame[]): readonly StompFrame[] {
  if (!isBuffer(queue)) return frames;
  return frames.map((frame) => {
    const topic = frame.headers.get(topicHeader);
    if (topic === undefined) return frame;
    const headers = new Map(frame.headers).set('destination', `/topic/${topic}`);
    headers.delete(topicHeader);
    return { ...frame, headers };
  });
}
