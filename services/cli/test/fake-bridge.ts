import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** What was asked of a bridge that is none. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

/** Serves, until the test is over, what `answer` makes of a request: a status and a body, which is JSON unless it is text. */
export async function fakeBridge(
  answer: (asked: Asked) => readonly [status: number, body: object | string],
): Promise<{ readonly url: string; readonly asked: Asked[]; readonly server: Server }> {
  const asked: Asked[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method = 'GET', headers } = request;
    const one = { method, url: new URL(request.url ?? '/', 'http://bridge'), body, headers };
    asked.push(one);
    const [status, content] = answer(one);
    response.statusCode = status;
    response.end(typeof content === 'string' ? content : JSON.stringify(content));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server };
}

/** A request in one line. */
export function lineOf({ method, url, body }: Asked): string {
  return `${method} ${url.pathname}${url.search}${body && ` ${body}`}`;
}
