import type { Clock } from '@tombolo/kernel/clock';
import type { Cluster, RedisServer, TlsFiles } from '@tombolo/topology/topology';
import type { CertificateView } from '../admin/view.ts';
import type { BrokerTls, BrokerTlsSource } from '../broker/broker-tls.ts';
import type { Log } from '../telemetry/log.ts';
import { CertificateFiles, type Pem } from './certificate-files.ts';

/** The certificates of one bridge, by what they are for; undefined: that `tls` section is not in the topology. */
export interface Certificates {
  readonly link: (() => Pem) | undefined;
  readonly broker: BrokerTlsSource | undefined;
  readonly election: BrokerTlsSource | undefined;
  readonly deduplication: BrokerTlsSource | undefined;
  /** When they run out, and what an operator should do about it. */
  views(): CertificateView[];
}

/**
 * Reads the files of every `tls` section of a cluster.
 * @throws Fault TOMBOLO_TOPOLOGY_INVALID naming the section and the file that cannot be used
 */
export function certificatesOf(
  { name, broker, bridge }: Cluster,
  around: { readonly clock: Clock; readonly wallClock: () => number; readonly log: Log },
): Certificates {
  const all: CertificateFiles[] = [];
  const filesOf = (use: string, section: string, files: TlsFiles | undefined): CertificateFiles | undefined => {
    if (!files) return undefined;
    const made = new CertificateFiles({ use, section: `clusters.${name}.${section}`, files, ...around });
    all.push(made);
    return made;
  };
  const redisOf = (section: 'election' | 'deduplication') => {
    const { redis }: { redis?: RedisServer } = bridge[section].type === 'redis' ? bridge[section] : {};
    const files = filesOf(section, `bridge.${section}.tls`, redis?.tls);
    return files && named(files, redis?.tls?.serverName);
  };
  const link = filesOf('link', 'bridge.tls', bridge.tls);
  const brokers = filesOf('broker', 'broker.tls', broker?.tls);
  return {
    link: link && (() => link.current),
    broker: brokers && named(brokers, broker?.tls?.serverName),
    election: redisOf('election'),
    deduplication: redisOf('deduplication'),
    views: () => all.flatMap((files) => files.views()),
  };
}

/** The same object as long as the files are: whoever keeps connections sees by that whether to make new ones. */
function named(files: CertificateFiles, serverName: string | undefined): BrokerTlsSource {
  let pem: Pem | undefined;
  let tls: BrokerTls = {};
  return () => {
    const now = files.current;
    if (now !== pem) {
      pem = now;
      tls = serverName === undefined ? now : { ...now, servername: serverName };
    }
    return tls;
  };
}
