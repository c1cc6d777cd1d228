/** Every kind of fault that an operator can meet, with whether waiting and trying again can cure it. */
export const faults = {
  TOMBOLO_TOPOLOGY_INVALID: { retryable: false },
  TOMBOLO_USAGE: { retryable: false },
  TOMBOLO_ADDRESS_IN_USE: { retryable: false },
  TOMBOLO_BROKER_UNREACHABLE: { retryable: true },
  TOMBOLO_BROKER_ACCESS_REFUSED: { retryable: true },
  TOMBOLO_BROKER_LOST: { retryable: true },
  TOMBOLO_BROKER_MISMATCH: { retryable: true },
  TOMBOLO_CHANNEL_CLOSED: { retryable: true },
  TOMBOLO_QUEUE_ABSENT: { retryable: true },
  TOMBOLO_QUEUE_REFUSED: { retryable: true },
  TOMBOLO_QUEUE_UNAVAILABLE: { retryable: true },
  TOMBOLO_EXCHANGE_ABSENT: { retryable: true },
  TOMBOLO_NO_PERMISSION: { retryable: true },
  TOMBOLO_MANAGEMENT_FAILED: { retryable: true },
  TOMBOLO_LINK_REFUSED: { retryable: true },
  TOMBOLO_LINK_LOST: { retryable: true },
  TOMBOLO_FRAME_INVALID: { retryable: true },
  TOMBOLO_REDIS_FAILED: { retryable: true },
  TOMBOLO_NOT_MASTER: { retryable: true },
  TOMBOLO_INTERNAL: { retryable: false },
} as const;

export type FaultCode = keyof typeof faults;

/**
 * An error that a user can meet. The message says what happened, to what, and what to do about it; it never
 * carries a secret (URIs go through a redactor before they come here).
 */
export class Fault extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'Fault';
    this.code = code;
  }

  /** True when waiting can cure it: the caller tries again with back-off; false: it gives up and says so. */
  get retryable(): boolean {
    return faults[this.code].retryable;
  }
}

/** The message of anything that was thrown, for logs and status. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
