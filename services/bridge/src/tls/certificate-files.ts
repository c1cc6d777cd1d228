import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Clock } from '@tombolo/kernel/clock';
import { Fault, messageOf } from '@tombolo/kernel/fault';
import type { TlsFiles } from '@tombolo/topology/topology';
import type { CertificateView } from '../admin/view.ts';
import type { Log } from '../telemetry/log.ts';

/** What the files of a `tls` section hold, as it is given to Node. */
export interface Pem {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface CertificateFilesOptions {
  /** What the files are for, as a label of metrics: link, broker, election, deduplication. */
  readonly use: string;
  /** Where the topology names them, e.g. `clusters.east.bridge.tls`. */
  readonly section: string;
  readonly files: TlsFiles;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: Log;
}

/** The files are looked at when they are needed, and at most once in this time (ms). */
const LOOK_MS = 1_000;
/** An operator is told of a certificate that runs out within this time (ms). */
const WARN_MS = 14 * 24 * 3_600_000;

type Part = 'ca' | 'cert' | 'key';
const parts: readonly Part[] = ['ca', 'cert', 'key'];

/** The files as they were read together: sound, so that a handshake can be made with them. */
interface Reading {
  readonly pem: Pem;
  readonly certificates: Readonly<Record<'ca' | 'cert', readonly X509Certificate[]>>;
}

/**
 * Certificate, key and authorities of one `tls` section. Whoever makes a handshake asks for them anew, so that files which were
 * replaced are used from the next handshake on, and no connection that stands is touched. Files that do not fit each other (one of them
 * is replaced, the other not yet) or cannot be read change nothing: those that were read before stay in use, and an operator is told.
 */
export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  #reading: Reading;
  #signature: string;
  #lookedAt: number;
  #problem: string | undefined;

  /** @throws Fault TOMBOLO_TOPOLOGY_INVALID naming the file that cannot be used, and why */
  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    this.#signature = signatureOf(options.files);
    this.#lookedAt = options.clock.now();
    try {
      this.#reading = read(options.files);
    } catch (thrown) {
      throw new Fault('TOMBOLO_TOPOLOGY_INVALID', `${options.section}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  /** For the next handshake. The same object as long as nothing has changed. */
  get current(): Pem {
    this.#look();
    return this.#reading.pem;
  }

  /** The own certificate, and the authorities, as far as there are such files. */
  views(): CertificateView[] {
    this.#look();
    const { use, files } = this.#options;
    const { cert, ca } = this.#reading.certificates;
    return [
      ...(files.cert === undefined ? [] : [this.#view(use, files.cert, earliest(cert), this.#problem)]),
      ...(files.ca === undefined
        ? []
        : [this.#view(`${use}_ca`, files.ca, this.#lasting(ca), files.cert === undefined ? this.#problem : undefined)]),
    ];
  }

  #view(use: string, path: string, expires: number, problem: string | undefined): CertificateView {
    const left = expires - this.#options.wallClock();
    const day = new Date(expires).toISOString().slice(0, 10);
    const what = use.endsWith('_ca') ? 'The last authority' : 'The certificate';
    const when = left <= 0 ? `expired on ${day}` : `expires on ${day}, in ${Math.floor(left / 86_400_000)} days`;
    const advice = 'replace the file; a new one is used without a restart';
    const late = left < WARN_MS ? `${what} in ${path} ${when}: ${advice}.` : undefined;
    return { use, path, expiresSeconds: Math.floor(expires / 1_000), note: problem ?? late };
  }

  /** A bundle holds old authorities for a while: what counts is the first to end of those that have not ended. */
  #lasting(authorities: readonly X509Certificate[]): number {
    const standing = authorities.filter((each) => expiryOf(each) > this.#options.wallClock());
    return standing.length > 0 ? earliest(standing) : Math.max(...authorities.map(expiryOf));
  }

  #look(): void {
    const { clock, files, log, section, use } = this.#options;
    const now = clock.now();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    const signature = signatureOf(files);
    if (signature === this.#signature) return;
    this.#signature = signature;
    try {
      this.#reading = read(files);
      this.#problem = undefined;
      const { cert, ca } = this.#reading.certificates;
      const own = cert[0] && { names: cert[0].subjectAltName, serial: cert[0].serialNumber, expires: cert[0].validTo };
      log.info({ use, ...own, authorities: ca.length }, 'certificate files read anew');
    } catch (thrown) {
      this.#problem = `${section}: the files have changed and cannot be used: ${messageOf(thrown)} Those read before stay in use.`;
      log.warn({ use, reason: this.#problem }, 'certificate files not usable');
    }
  }
}

/** Reads all files and judges them together. @throws Error with a sentence that names a file */
function read(files: TlsFiles): Reading {
  const pem: { [P in Part]?: Buffer } = {};
  for (const part of parts) {
    const path = files[part];
    if (path === undefined) continue;
    try {
      pem[part] = readFileSync(path);
    } catch (thrown) {
      throw new Error(`${part} ${path} cannot be read (${messageOf(thrown)}).`);
    }
  }
  const certificates = { ca: certificatesIn(pem, files, 'ca'), cert: certificatesIn(pem, files, 'cert') };
  const [own] = certificates.cert;
  if (own && pem.key && !own.checkPrivateKey(privateKey(pem.key, files.key))) {
    throw new Error(`the key ${files.key} is not that of the certificate ${files.cert}.`);
  }
  try {
    createSecureContext(pem);
  } catch (thrown) {
    throw new Error(`OpenSSL does not take ${files.cert ?? files.ca}: ${messageOf(thrown)}.`);
  }
  return { pem, certificates };
}

function certificatesIn(pem: Pem, files: TlsFiles, part: 'ca' | 'cert'): X509Certificate[] {
  const text = pem[part]?.toString('latin1');
  if (text === undefined) return [];
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw new Error(`${part} ${files[part]} holds no certificate in PEM.`);
  try {
    return found.map((each) => new X509Certificate(each));
  } catch (thrown) {
    throw new Error(`${part} ${files[part]} holds a certificate that cannot be read (${messageOf(thrown)}).`);
  }
}

function privateKey(pem: Buffer, path: string | undefined) {
  try {
    return createPrivateKey(pem);
  } catch {
    // OpenSSL's own words on it may quote what it has read.
    throw new Error(`key ${path} holds no private key in PEM, or one that needs a pass phrase.`);
  }
}

/** Another one whenever a file is written, replaced, or reached by another symbolic link. */
function signatureOf(files: TlsFiles): string {
  return parts
    .map((part) => {
      const path = files[part];
      if (path === undefined) return '';
      const found = statSync(path, { throwIfNoEntry: false });
      return found ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}` : 'absent';
    })
    .join(' ');
}

function expiryOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

function earliest(certificates: readonly X509Certificate[]): number {
  return Math.min(...certificates.map(expiryOf));
}
