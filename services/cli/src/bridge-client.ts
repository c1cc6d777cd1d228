import { readFileSync } from 'node:fs';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import { type Command, Option } from 'commander';

/** Which bridge is asked, and what opens the door. */
export interface BridgeOptions {
  readonly url: string;
  readonly tokenFile?: string;
}

/** How long an answer may take, and what is sent. */
export interface Request {
  readonly method?: 'GET' | 'POST';
  readonly body?: object;
  readonly timeoutMs?: number;
}

/** No bridge could be asked; the message is a sentence that says what to do. Exit code 3. */
export class Unreachable extends Error {}

/** The options of every command that asks a running bridge. */
export function withBridgeOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--url <url>', 'the bridge’s admin address').env('TOMBOLO_URL').default('http://127.0.0.1:7461'),
    )
    .addOption(
      new Option('--token-file <file>', 'a file with bridge.adminToken, when one is configured').env(
        'TOMBOLO_TOKEN_FILE',
      ),
    );
}

/**
 * What the bridge answers, parsed.
 * @throws Unreachable when no bridge answers there; Error with the bridge's own sentence when it refuses (a standby names its
 * master); Fault TOMBOLO_USAGE for a URL that is none and a token that cannot be read
 */
export async function ask<T>(
  path: string,
  { url, tokenFile }: BridgeOptions,
  { method = 'GET', body, timeoutMs = 60_000 }: Request = {},
): Promise<T> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Fault('TOMBOLO_USAGE', `"${url}" is no URL of a bridge; expected something like http://127.0.0.1:7461.`);
  }
  const headers = {
    ...(body && { 'content-type': 'application/json' }),
    ...(tokenFile !== undefined && { authorization: `Bearer ${tokenOf(tokenFile)}` }),
  };
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    response = await fetch(new URL(path, url), {
      method,
      signal,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (thrown) {
    const why = reasonOf(thrown, timeoutMs);
    throw new Unreachable(`No bridge answers at ${url}: ${why}. Is it running, and is this its bridge.admin?`);
  }
  const answer = parsed(text);
  if (response.ok && answer !== undefined) return answer as T;
  const { error, message } = (answer ?? {}) as { readonly error?: string; readonly message?: string };
  const isBridge = typeof error === 'string' && typeof message === 'string';
  // A bridge has a sentence for everything, this one too: but what it has nothing at is not its admin address.
  if (isBridge && error !== 'not_found') throw new Error(message);
  const what = isBridge ? 'a bridge, at an address that serves no API (bridge.metrics?)' : 'not a Tombolo bridge';
  throw new Unreachable(`What answers at ${url} is ${what} (${response.status}); --url is a bridge's bridge.admin.`);
}

function parsed(text: string): unknown {
  try {
    const answer = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}

function tokenOf(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (thrown) {
    throw new Fault('TOMBOLO_USAGE', `--token-file ${file} cannot be read (${messageOf(thrown)}).`);
  }
  // What it holds must not be in the message: it may be the token after all, with a line too many.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Fault('TOMBOLO_USAGE', `--token-file ${file} holds no token: expected one line without spaces.`);
  }
  return token;
}

/** What certificates are refused for (node:tls), in words. */
const untrusted = /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_(UNTRUSTED|SIGNATURE)/;

function reasonOf(thrown: unknown, timeoutMs: number): string {
  const { name, cause } = thrown as { name?: string; cause?: { code?: string; message?: string } };
  const { code = '', message = messageOf(thrown) } = cause ?? {};
  if (name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'no such host';
  if (code.startsWith('HPE_')) return 'what answers there does not speak HTTP';
  if (/wrong version number/.test(message)) return 'what answers there does not speak TLS; try http://';
  if (untrusted.test(code))
    return `its certificate is not trusted (${code}); NODE_EXTRA_CA_CERTS names a file of authorities`;
  return message;
}
