import { Fault } from '@tombolo/kernel/fault';
import type {
  Broker,
  ConsumerHandler,
  Publisher,
  PublisherHandler,
  QueueBrowser,
  Sink,
  Source,
  TopicBuffers,
} from './port.ts';

/**
 * A broker that is only written to as long as this bridge may: asked before every write with the time of now, not by a timer, so
 * that a process which slept longer than its lease takes and publishes nothing on waking. Facts need no permission:
 * acknowledging, giving back, cancelling and looking always pass.
 * @param mayWrite whether this bridge is the master at this very moment
 */
export function fenced(broker: Broker, mayWrite: () => boolean): Broker {
  return {
    source: fencedSource(broker.source, mayWrite),
    sink: fencedSink(broker.sink, mayWrite),
    buffers: fencedBuffers(broker.buffers, mayWrite),
    browser: fencedBrowser(broker.browser, mayWrite),
    demand: broker.demand,
    bindings: broker.bindings,
    inventory: broker.inventory,
    start: () => broker.start(),
    claim: (wanted) => broker.claim(wanted),
    runningFor: () => broker.runningFor(),
    stop: () => broker.stop(),
  };
}

function fencedSource(source: Source, mayWrite: () => boolean): Source {
  return {
    consume: (request, handler) => {
      if (mayWrite()) return source.consume(request, taking(source, handler, mayWrite));
      queueMicrotask(() => handler.ended({ why: 'lost' }));
      return { extend: () => {}, cancel: () => {} };
    },
    acknowledge: (tokens) => source.acknowledge(tokens),
    requeue: (tokens) => source.requeue(tokens),
    flushed: (token, done) => source.flushed(token, done),
    onChannelLost: (listener) => source.onChannelLost(listener),
    inspect: (queue, wanted) => source.inspect(queue, wanted),
    declare: async (queue, properties) => {
      permit(mayWrite, `Declaring queue "${queue}"`);
      await source.declare(queue, properties);
    },
    deleteIfIdle: async (queue) => {
      permit(mayWrite, `Deleting queue "${queue}"`);
      return source.deleteIfIdle(queue);
    },
  };
}

/** What the broker hands over to one that may not take it goes back as it is. */
function taking(source: Source, handler: ConsumerHandler, mayWrite: () => boolean): ConsumerHandler {
  return {
    delivered: (deliveries) => {
      if (mayWrite()) handler.delivered(deliveries);
      else source.requeue(deliveries.map(({ token }) => token));
    },
    ended: (end) => handler.ended(end),
  };
}

function fencedSink(sink: Sink, mayWrite: () => boolean): Sink {
  return {
    publisher: (destination, handler, options) =>
      fencedPublisher(sink.publisher(destination, handler, options), handler, mayWrite),
    unpublishable: (message) => sink.unpublishable(message),
    probe: (queue) => sink.probe(queue),
  };
}

function fencedPublisher(publisher: Publisher, handler: PublisherHandler, mayWrite: () => boolean): Publisher {
  return {
    publish: (publications) => {
      if (mayWrite()) return publisher.publish(publications);
      const ids = publications.map(({ id }) => id);
      queueMicrotask(() => handler.outcome(ids, 'postponed', notMaster));
    },
    close: () => publisher.close(),
  };
}

function fencedBuffers(buffers: TopicBuffers, mayWrite: () => boolean): TopicBuffers {
  return {
    declare: async (buffer, properties) => {
      permit(mayWrite, `Declaring buffer "${buffer}"`);
      await buffers.declare(buffer, properties);
    },
    bind: async (buffer, exchange, bindings) => {
      permit(mayWrite, `Binding buffer "${buffer}"`);
      await buffers.bind(buffer, exchange, bindings);
    },
    unbind: async (buffer, exchange, bindings) => {
      permit(mayWrite, `Unbinding buffer "${buffer}"`);
      await buffers.unbind(buffer, exchange, bindings);
    },
    bindings: (buffer) => buffers.bindings(buffer),
    list: () => buffers.list(),
    delete: async (buffer, options) => {
      permit(mayWrite, `Deleting buffer "${buffer}"`);
      return buffers.delete(buffer, options);
    },
    exchange: (exchange) => buffers.exchange(exchange),
  };
}

/** What was read already may still be removed: it is where it belongs. */
function fencedBrowser(browser: QueueBrowser, mayWrite: () => boolean): QueueBrowser {
  return {
    browse: async (queue) => {
      permit(mayWrite, `Reading queue "${queue}"`);
      const browsing = await browser.browse(queue);
      return {
        next: async () => {
          permit(mayWrite, `Reading queue "${queue}"`);
          return browsing.next();
        },
        remove: (delivery) => browsing.remove(delivery),
        close: () => browsing.close(),
      };
    },
  };
}

const notMaster = 'this bridge is not the master any more';

function permit(mayWrite: () => boolean, doing: string): void {
  if (!mayWrite()) throw new Fault('TOMBOLO_NOT_MASTER', `${doing} is not done: ${notMaster}. Its successor does it.`);
}
