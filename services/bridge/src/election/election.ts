/** Who hears of this bridge's mastership; also from within `eligible`, `seen` and `stop`, and may call back. */
export interface ElectionListener {
  /**
   * This bridge was elected. `token` is higher than that of every master before it, as far as the election's store and `seen` know:
   * undefined where nothing but the broker's lock elects, and the wall clock has to order incarnations.
   */
  elected(token: number | undefined): void;
  /**
   * No longer. `mayWrite` is false already; whatever takes or publishes stops before this returns. What was published goes on to be
   * settled and acknowledged: facts need no lease.
   */
  lost(reason: string): void;
}

export interface ElectionView {
  readonly type: 'redis' | 'broker' | 'none';
  readonly role: 'master' | 'standby';
  /** The instance that holds the lease, as far as it is known. */
  readonly holder: string | undefined;
  /** Why this bridge is not the master; undefined when it is. */
  readonly reason: string | undefined;
}

/**
 * Which of several bridges beside a cluster works. Every type leaves the broker's exclusive lock in place, which is the fence:
 * being elected is the permission to claim it. One election is started once, and stopped once.
 */
export interface Election {
  start(listener: ElectionListener): void;
  /**
   * Whether this bridge could work, were it elected: its own broker accepts connections. From the beginning it could not. A
   * master that no longer can gives its mastership up at once, `lost` included, so that another takes over.
   * @param reason why not, for status
   */
  eligible(eligible: boolean, reason?: string): void;
  /** Gives the mastership up, if there is one, so that a standby takes over at once. Resolves when that is known, or in vain. */
  stop(): Promise<void>;
  /**
   * Asked before every write to a broker, with the monotonic time of now: a process that slept longer than its lease finds out
   * here, before any timer of it runs.
   */
  mayWrite(now: number): boolean;
  /** How long the lease lasts, counted from before it was asked for; 0 without one, undefined where there are no leases. */
  remainingMs(now: number): number | undefined;
  /** A peer has met this incarnation of the cluster: later tokens are higher, and a master whose token is lower is elected anew. */
  seen(incarnation: number): void;
  readonly view: ElectionView;
}
