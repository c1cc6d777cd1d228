import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Address } from '@tombolo/topology/units';

/** `host:port`, IPv6 in brackets. */
export function renderAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Starts to listen, by `open`, and turns what can go wrong into a fault that names the address and what to do.
 * @param what the setting that the address comes from, e.g. `bridge.admin`
 */
export async function listenOn<T>(address: Address, what: string, open: (address: Address) => Promise<T>): Promise<T> {
  try {
    return await open(address);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      const advice = `stop the process that listens there (ss -ltnp 'sport = :${address.port}'), or choose another address`;
      throw new Fault('TOMBOLO_ADDRESS_IN_USE', `${what} ${renderAddress(address)} is in use: ${advice}.`, { cause });
    }
    const reason =
      code === 'EADDRNOTAVAIL'
        ? 'no interface of this machine has that address'
        : code === 'EACCES'
          ? 'this user may not listen on that port; choose one above 1023'
          : messageOf(cause);
    throw new Fault('TOMBOLO_USAGE', `${what} ${renderAddress(address)} cannot be listened on: ${reason}.`, { cause });
  }
}
