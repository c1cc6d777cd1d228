import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { Refusal } from '@tombolo/wire/greeting';

/** Certificates of a bridge, as PEM text. */
export interface LinkTls {
  /** Whom to trust; without it, the system's authorities (and on the listening side no certificate is asked for). */
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** Asked for each handshake: files may have been replaced. The same object as long as nothing has changed. */
export type LinkTlsSource = () => LinkTls;

/** Whether the certificate carries this identity as a SAN: a DNS name or a URI (spiffe://…), literally. */
export function carries(certificate: PeerCertificate, identity: string): boolean {
  return namesOf(certificate).some((name) => name === `DNS:${identity}` || name === `URI:${identity}`);
}

/** Node quotes a name in which there is a comma, so that nobody takes a part of it for a name of its own. */
function namesOf({ subjectaltname = '' }: PeerCertificate): string[] {
  return subjectaltname.match(/[^:,]+:(?:"(?:\\.|[^"\\])*"|[^,]*)/g)?.map((name) => name.trimStart()) ?? [];
}

/** Whose certificate is judged, and by whom. */
export interface Parties {
  /** The cluster that the other side is taken for. */
  readonly peer: string;
  /** The SAN that its certificate must carry; undefined: its name. */
  readonly identity: string | undefined;
  readonly self: string;
}

/**
 * Judges the certificate that the other side showed when the TLS handshake was made: it must be of an authority that is trusted, and carry
 * the peer's identity; which name was dialled does not matter. Undefined: nothing is wrong with it. The socket must have been opened with
 * `rejectUnauthorized: false`, so that there is somebody left who can be told.
 */
export function judgeCertificate(socket: TLSSocket, parties: Parties): Refusal | undefined {
  const certificate = socket.getPeerCertificate();
  if (!socket.authorized) {
    const sentence = untrusted(codeOf(socket), certificate, parties.peer, parties.self);
    return { reason: 'certificate', sentence };
  }
  return carries(certificate, parties.identity ?? parties.peer) ? undefined : wrongName(certificate, parties);
}

function wrongName(certificate: PeerCertificate, { peer, identity = peer }: Parties): Refusal {
  const found = namesOf(certificate).slice(0, 8).join(', ') || 'none';
  return {
    reason: 'identity',
    sentence: `The certificate that cluster '${peer}' showed does not carry its identity '${identity}' (its names: ${found}). Issue one with that SAN, or set bridge.tls.identity of '${peer}' in the files of both sides.`,
  };
}

function codeOf(socket: TLSSocket): string {
  const error: unknown = socket.authorizationError;
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}

/** OpenSSL's codes (`man verify`), as Node names them, in words that say what to do. */
function untrusted(code: string, certificate: PeerCertificate, peer: string, self: string): string {
  const shown = `The certificate that cluster '${peer}' showed`;
  if (!certificate.subject) {
    return `Cluster '${peer}' showed no certificate, and cluster '${self}' asks for one. Set bridge.tls.cert and key of '${peer}'.`;
  }
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return Date.parse(certificate.valid_to) <= Date.now()
        ? `${shown} has expired (${certificate.valid_to}). Replace it; the bridge of '${peer}' uses a new file without a restart.`
        : `${shown} is of an authority that has expired. Replace the authority in bridge.tls.ca on both sides, and what it issued.`;
    case 'CERT_NOT_YET_VALID':
      return `${shown} is not yet valid (from ${certificate.valid_from}). Check the clocks of both machines, or issue it anew.`;
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'CERT_SIGNATURE_FAILURE':
      return `${shown} is of an authority that cluster '${self}' does not trust (${issuerOf(certificate)}). Add that authority to bridge.tls.ca of '${self}', or issue the certificate by one that is there.`;
    case 'INVALID_PURPOSE':
      return `${shown} is not meant for this (extended key usage). A bridge needs serverAuth and clientAuth in it.`;
    default:
      return `${shown} cannot be trusted (${code}). Check it and bridge.tls.ca of '${self}'.`;
  }
}

function issuerOf({ issuer }: PeerCertificate): string {
  const name = issuer?.CN ?? issuer?.O ?? 'without a name';
  return `issuer ${String(name).slice(0, 100)}`;
}

/**
 * What an error of a dialled connection says of TLS, as a refusal; undefined: it is of another kind.
 * @param peer the cluster that was dialled
 */
export function handshakeRefusal(error: NodeJS.ErrnoException, peer: string): Refusal | undefined {
  const { code = '', message } = error;
  // What OpenSSL says of an answer that is no TLS record.
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code) || /wrong version number/.test(message)) {
    return {
      reason: 'tls',
      sentence: `Cluster '${peer}' was dialled with TLS, and what answers does not speak it. Set bridge.tls cert and key of '${peer}', or write ws:// in its bridge.uris.`,
    };
  }
  if (!/ALERT|^ERR_SSL_|^EPROTO$/.test(code)) return undefined;
  return {
    reason: 'tls',
    sentence: `Cluster '${peer}' and this one could not agree on TLS (${code}). Check the certificates and the TLS versions of both sides.`,
  };
}

/** The answer to whoever speaks plain HTTP to an address that wants TLS (RFC 2817, 4.2). */
export const plainAnswer = [
  'HTTP/1.1 426 Upgrade Required',
  'upgrade: TLS/1.2, HTTP/1.1',
  'connection: upgrade, close',
  'content-type: text/plain',
  '',
  'This address speaks TLS: use wss:// (https:// for /master).\n',
].join('\r\n');

/** Whether this answer came because the address wants TLS. @param upgrade the answer's header of that name */
export function isPlainAnswer(upgrade: string | undefined): boolean {
  return upgrade !== undefined && /\bTLS\//i.test(upgrade);
}

/** Why a dialler that spoke plain HTTP to such an address has no link. */
export function plainWanted(peer: string): Refusal {
  return {
    reason: 'tls',
    sentence: `Cluster '${peer}' was dialled without TLS, and its address wants it. Write wss:// in bridge.uris of '${peer}'.`,
  };
}
