import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { Command } from 'commander';
import { Unreachable } from './snapshot.ts';

/** Where an operation is sent, and what opens the door. */
export interface OperationOptions {
  readonly url: string;
  readonly tokenFile?: string;
}

/** The options that every operation takes. */
export function withOperationOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the bridge’s admin address', 'http://127.0.0.1:7461')
    .option('--token-file <file>', 'a file with bridge.adminToken, when one is configured');
}

/**
 * Asks a bridge to do something.
 * @throws Error with what the bridge said when it refuses (a standby names its master); Unreachable when nobody answered
 */
export async function operate<T>(
  path: string,
  { url, tokenFile }: OperationOptions,
  body?: object,
  { method = 'POST', timeoutMs = 60_000 }: { readonly method?: 'GET' | 'POST'; readonly timeoutMs?: number } = {},
): Promise<T> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Fault('TOMBOLO_USAGE', `"${url}" is no URL of a bridge; expected something like http://127.0.0.1:7461.`);
  }
  let response: Response;
  try {
    response = await fetch(new URL(path, url), {
      method,
      signal: AbortSignal.timeout(timeoutMs),
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
    throw new Unreachable(`No bridge answers at ${url}: ${why}. Is it running, and is this its bridge.admin?`);
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
