import type { LeftOver, StreamView } from '../admin/view.ts';

/** What these streams have in flight. */
export function leftOver(streams: readonly StreamView[]): LeftOver[] {
  return streams.flatMap(({ destination, peer, unsettled: messages }) =>
    messages > 0 ? { destination, peer, messages } : [],
  );
}
