/** How long to wait before a further attempt: base and cap in milliseconds. */
export interface BackoffPolicy {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Full-jitter exponential delay in milliseconds: uniform in [base/2, min(cap, base·2^attempt)].
 * Half of the base is kept as a floor, so that a refusal that comes at once does not become a busy loop.
 * @param attempt how many attempts failed in a row so far, from 0
 * @param random a number in [0, 1)
 */
export function backoffDelay(policy: BackoffPolicy, attempt: number, random: number): number {
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt, 30));
  const floor = policy.baseMs / 2;
  return floor + random * Math.max(0, ceiling - floor);
}
