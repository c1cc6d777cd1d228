import { createServer, type Server } from 'node:net';

/**
 * Below the ports that systems give to connections that are opened (Linux: from 32768 on): one of those would now and then have taken the
 * port of a server that is restarted.
 */
const lowest = 20_000;
const count = 12_000;
/** Processes that run at the same time begin in different places. */
const apart = 300;

let next = (process.pid * apart) % count;

/** Ports of the loopback interface that nothing listens on at this moment, and that this process was not given lately. */
export async function freePorts(wanted: number): Promise<number[]> {
  const servers: { readonly port: number; readonly server: Server }[] = [];
  for (let tried = 0; servers.length < wanted; tried++) {
    if (tried > count) throw new Error(`no ${wanted} free ports from ${lowest} on`);
    const port = lowest + next;
    next = (next + 1) % count;
    const server = await listening(port);
    if (server) servers.push({ port, server });
  }
  await Promise.all(servers.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return servers.map(({ port }) => port);
}

/** Undefined: the port is taken. */
function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
