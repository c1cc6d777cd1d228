import { Fault } from '@tombolo/kernel/fault';
import type { BindingListener, BindingWatch, BufferBinding, TopicBuffers } from '../port.ts';
import type { QueueLook } from './queue-look.ts';

const reason = 'topics of ActiveMQ are not bridged in this version';

/** Topics are not seen: their demand is unknown. */
export class ActiveMqBindingWatch implements BindingWatch {
  readonly method = reason;

  watch(_matches: (exchange: string) => boolean, listener: BindingListener): void {
    listener.visible(false, reason);
  }

  refresh(): void {}
}

/** There is nothing that would capture a topic for a peer. */
export class ActiveMqTopicBuffers implements TopicBuffers {
  readonly #look: QueueLook;

  constructor(look: QueueLook) {
    this.#look = look;
  }

  async declare(): Promise<void> {
    refuse();
  }
  async bind(): Promise<void> {
    refuse();
  }
  async unbind(): Promise<void> {}

  async bindings(): Promise<readonly BufferBinding[]> {
    return [];
  }

  async list(): Promise<readonly string[]> {
    return [];
  }

  /** Nothing is left in it; the queue itself stays, since nobody can delete one over STOMP. */
  delete(buffer: string): Promise<'deleted' | 'absent'> {
    return this.#look.clear(buffer);
  }

  async exchange(): Promise<undefined> {
    return undefined;
  }
}

function refuse(): never {
  throw new Fault('TOMBOLO_QUEUE_REFUSED', `It cannot be captured: ${reason}.`);
}
