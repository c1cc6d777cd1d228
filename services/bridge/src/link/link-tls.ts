import { checkServerIdentity, type PeerCertificate } from 'node:tls';

/** Certificates of a bridge, as PEM text. */
export interface LinkTls {
  /** Whom to trust; without it, the system's authorities (and on the listening side no certificate is asked for). */
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** Whether the certificate carries this identity as a SAN: a DNS name or a URI (spiffe://…), literally. */
export function carries(certificate: PeerCertificate, identity: string): boolean {
  const names = (certificate.subjectaltname ?? '').split(', ');
  return names.includes(`DNS:${identity}`) || names.includes(`URI:${identity}`);
}

/**
 * Judges a listener's certificate: it must carry the peer's identity when one is configured, else the cluster's name or, as
 * anywhere on the web, the name that was dialled.
 */
export function judgeServer(
  host: string,
  certificate: PeerCertificate,
  cluster: string,
  identity: string | undefined,
): Error | undefined {
  if (carries(certificate, identity ?? cluster)) return undefined;
  if (identity === undefined && checkServerIdentity(host, certificate) === undefined) return undefined;
  return new Error(
    `The certificate of ${host} does not carry the identity '${identity ?? cluster}'. Issue one with that SAN, or set bridge.tls.identity of cluster '${cluster}'.`,
  );
}
