import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Command } from 'commander';

/** Where an operation is sent, and what opens the door. */
export interface OperationOptions {
  readonly url: string;
  readonly tokenFile?: string;
}

const timeoutMs = 60_000;
/** A drain takes as long as `drainTimeout` allows it, and a look at what is left waits for the broker's statistics. */
export const patientMs = 600_000;

/** The options that every operation takes. */
export function withOperationOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the bridge’s admin address', 'http://127.0.0.1:7461')
    .option('--token-file <file>', 'a file with bridge.adminToken, when one is configured');
}

/**
 * Asks a bridge to do something.
 * @throws Fault with what the bridge said when it refuses (a standby names its master), or that nobody answered
 */
export function operate<T>(path: string, options: OperationOptions, body?: object, withinMs = timeoutMs): Promise<T> {
  return call<T>('POST', path, options, body, withinMs);
}

/** Asks the master something. @throws Fault as `operate` does */
export function inquire<T>(path: string, options: OperationOptions): Promise<T> {
  return call<T>('GET', path, options, undefined, patientMs);
}

async function call<T>(
  method: 'GET' | 'POST',
  path: string,
  { url, tokenFile }: OperationOptions,
  body: object | undefined,
  withinMs: number,
): Promise<T> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Fault('TOMBOLO_USAGE', `"${url}" is no URL of a bridge; expected something like http://127.0.0.1:7461.`);
  }
  let response: Response;
  try {
    response = await fetch(new URL(path, url), {
      method,
      signal: AbortSignal.timeout(withinMs),
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(tokenFile !== undefined && { authorization: `Bearer ${tokenOf(tokenFile)}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    const { cause } = thrown as { cause?: { message?: string } };
    const why = cause?.message ?? messageOf(thrown);
    throw new Error(`No bridge answers at ${url}: ${why}. Is it running, and is this its bridge.admin?`);
  }
  const answer = (await response.json().catch(() => ({}))) as T & { readonly message?: string };
  if (response.ok) return answer;
  throw new Error(
    answer.message ?? `What answers at ${url} is not the admin address of a bridge (${response.status}).`,
  );
}

function tokenOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (thrown) {
    throw new Fault('TOMBOLO_USAGE', `--token-file ${file} cannot be read (${messageOf(thrown)}).`);
  }
}
