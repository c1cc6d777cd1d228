/** A view and a call into V8's runtime cost more than so many bytes, one by one. */
const fewBytes = 64;

/** Copies `source` from `start` to before `end` to `target` at `at`; returns the offset behind them. Both are long enough. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length > fewBytes) target.set(length === source.length ? source : source.subarray(start, end), at);
  else for (let index = 0; index < length; index++) target[at + index] = source[start + index]!;
  return at + length;
}
