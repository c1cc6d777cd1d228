/** What a store says of a cluster's lease. Two equal records mean that nobody took, renewed or released the lease in between. */
export interface LeaseRecord {
  /** Which life of the store says so: another one after a restart, and after a failover to a replica. */
  readonly run: string;
  /** The life of the store in which the record was written last; empty: there is no record. */
  readonly writtenIn: string;
  /** Empty: it was released, or there is no record. */
  readonly owner: string;
  /** Of the last owner; 0: there is no record. */
  readonly token: number;
  /** Counts the renewals of this token. */
  readonly beat: number;
}

/**
 * Where the lease of a cluster lives. The store keeps no time: a lease has no expiry there, those who watch it count. Every call
 * rejects with a Fault when its outcome is not known in time, and may then have been carried out, or be carried out later.
 */
export interface LeaseStore {
  look(): Promise<LeaseRecord>;
  /**
   * Takes the lease if its record is still the expected one.
   * @returns the new token, higher than the last one and than `atLeast`; undefined: the record is another one by now
   */
  take(owner: string, expected: LeaseRecord, atLeast: number): Promise<number | undefined>;
  /** Shows those who watch that the owner lives. False: the lease is not this owner's under this token. */
  renew(owner: string, token: number): Promise<boolean>;
  /** Lets go of the lease, so that anybody may take it at once. Nothing happens when it is not this owner's under this token. */
  release(owner: string, token: number): Promise<void>;
  close(): void;
}

/** True when nobody touched the lease between the two looks. */
export function sameRecord(a: LeaseRecord, b: LeaseRecord): boolean {
  return (
    a.run === b.run && a.writtenIn === b.writtenIn && a.owner === b.owner && a.token === b.token && a.beat === b.beat
  );
}
