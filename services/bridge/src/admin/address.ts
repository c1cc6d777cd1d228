import { Fault, messageOf } from '@tombolo/kernel/fault';

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[::1]:port` or `:port` (all interfaces). `what` names the setting in the fault. */
export function parseAddress(text: string, what: string): Address {
  const match = /^(?:\[([\da-f:.]+)\]|([^\s:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new Fault('TOMBOLO_USAGE', `${what} is "${text}"; expected host:port, for example 127.0.0.1:7461.`);
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '0.0.0.0' : host, port };
}

/** Whether only this machine can reach the address. */
export function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/**
 * Starts to listen, by `open`, and turns what can go wrong into a fault that names the address and what to do.
 * @param what the setting that the address comes from, e.g. `bridge.admin`
 */
export async function listenOn<T>(address: string, what: string, open: (address: Address) => Promise<T>): Promise<T> {
  const parsed = parseAddress(address, what);
  try {
    return await open(parsed);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      const advice = `stop the process that listens there (ss -ltnp 'sport = :${parsed.port}'), or choose another address`;
      throw new Fault('TOMBOLO_ADDRESS_IN_USE', `${what} ${address} is in use: ${advice}.`, { cause });
    }
    const reason =
      code === 'EADDRNOTAVAIL'
        ? 'no interface of this machine has that address'
        : code === 'EACCES'
          ? 'this user may not listen on that port; choose one above 1023'
          : messageOf(cause);
    throw new Fault('TOMBOLO_USAGE', `${what} ${address} cannot be listened on: ${reason}.`, { cause });
  }
}
