import type { ImportedPart } from './import-yaml.ts';

interface Place {
  readonly scheme: 'amqp' | 'amqps';
  readonly host: string;
  readonly port: string;
  readonly vhost: string;
}

/**
 * The clusters of an imported topology: the one that the definitions are of, once for each virtual host in use, and those that its
 * upstreams and shovels reach. A broker's addresses are taken over, its credentials are not: they become references to the environment.
 */
export class ImportedClusters {
  readonly #own: string;
  /** By virtual host. */
  readonly #local = new Map<string, string>();
  /** By the first address. */
  readonly #remote = new Map<string, string>();
  readonly #parts = new Map<string, ImportedPart>();

  /** @param own what to call the cluster that the definitions are of */
  constructor(own: string) {
    this.#own = own;
  }

  /** By name: those that were asked for. */
  parts(): ReadonlyMap<string, ImportedPart> {
    return this.#parts;
  }

  /** The cluster that the definitions are of, in this virtual host. */
  local(vhost: string): string {
    const known = this.#local.get(vhost);
    if (known) return known;
    const name = this.#named(this.#local.size === 0 ? this.#own : `${this.#own}-${vhost}`);
    this.#local.set(vhost, name);
    // A sidecar's own broker is on loopback; several of those are told apart by the broker's name.
    const comment = `The cluster that the definitions are of, virtual host ${vhost}, as its bridge beside it reaches it.`;
    this.#add(name, [comment], [{ scheme: 'amqp', host: envName(name, 'HOST:-localhost'), port: '5672', vhost }]);
    return name;
  }

  /** The cluster behind these addresses; undefined: there is no address of AMQP 0-9-1. */
  remote(wanted: string, uris: readonly string[], vhost: string): string | undefined {
    const places = uris.flatMap((uri) => placeOf(uri, vhost) ?? []);
    const first = places[0];
    if (!first) return undefined;
    const key = `${first.host}:${first.port}/${first.vhost}`;
    const known = this.#remote.get(key);
    if (known) return known;
    const name = this.#named(wanted);
    this.#remote.set(key, name);
    this.#add(name, [], places);
    return name;
  }

  /** One end of a shovel: an address without a host is the cluster itself, in the virtual host of the address or the shovel's. */
  end(wanted: string, uri: unknown, vhost: string): string | undefined {
    const [first] = [uri].flat();
    if (typeof first !== 'string') return undefined;
    const own = /^amqps?:\/\/(?:[^@/]*@)?(?:\/(?<vhost>[^?]*))?(?:\?.*)?$/.exec(first);
    if (own) return this.local(own.groups?.['vhost'] ? decode(own.groups['vhost']) : vhost);
    return this.remote(
      wanted,
      [uri].flat().filter((each) => typeof each === 'string'),
      '/',
    );
  }

  #add(name: string, comments: readonly string[], places: readonly Place[]): void {
    const uris = places.map(
      ({ scheme, host, port, vhost }) => `${scheme}://${host}:${port}/${encodeURIComponent(vhost)}`,
    );
    const env = (what: string) => envName(name, what);
    this.#parts.set(name, {
      comments,
      value: {
        broker: {
          type: 'rabbitmq',
          uris,
          management: { uris: places.map(({ host }) => `http://${host}:15672`) },
          username: env('USER'),
          password: env('PASSWORD'),
        },
        bridge: {
          listen: '0.0.0.0:7460',
          uris: [`wss://tombolo.${name}.example:7460`],
          tls: { ca: 'ca.pem', cert: 'bridge.pem', key: 'bridge-key.pem', identity: `tombolo.${name}.example` },
          // biome-ignore lint/suspicious/noTemplateCurlyInString: it is how a reference is written
          secret: '${TOMBOLO_SECRET}',
        },
      },
    });
  }

  #named(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
        .slice(0, 60) || 'cluster';
    let name = base;
    for (let count = 2; this.#parts.has(name); count++) name = `${base}-${count}`;
    return name;
  }
}

/** A reference to the environment: `${EAST_USER}`. */
function envName(cluster: string, what: string): string {
  return `\${${cluster
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^(\d)/, '_$1')}_${what}}`;
}

/** The path of an AMQP URI is its virtual host; without one an upstream means the virtual host that it is of. */
function placeOf(uri: string, vhost: string): Place | undefined {
  if (!URL.canParse(uri)) return undefined;
  const { protocol, hostname, port, pathname } = new URL(uri);
  const scheme = protocol.slice(0, -1);
  if ((scheme !== 'amqp' && scheme !== 'amqps') || hostname === '') return undefined;
  const path = pathname.slice(1);
  return {
    scheme,
    host: hostname,
    port: port || (scheme === 'amqps' ? '5671' : '5672'),
    vhost: path === '' ? vhost : decode(path),
  };
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
