import { systemClock } from '@tombolo/kernel/clock';
import { messageOf } from '@tombolo/kernel/fault';
import type { Cluster, Topology } from '@tombolo/topology/topology';
import { Management } from '../broker/rabbitmq/management.ts';
import { brokerConfig } from '../parts.ts';
import { secretsOf } from '../secrets.ts';
import { createLog } from '../telemetry/log.ts';
import { Redactor } from '../telemetry/redactor.ts';
import { certificatesOf } from '../tls/certificates.ts';
import { findingsFrom } from './findings.ts';
import { type ClusterSurvey, type Findings, surveyConnectors, type TopologySurvey } from './survey.ts';

/**
 * Looks at the brokers of these clusters, through their management APIs and without changing anything, for what the topology would
 * do there. A broker that cannot be looked at is a finding, no failure.
 */
export async function surveyTopology(topology: Topology, clusters: readonly string[]): Promise<TopologySurvey> {
  const redactor = new Redactor(secretsOf(topology));
  const found = new Map<string, Findings>();
  const surveys = await Promise.all(
    clusters.map(async (name): Promise<ClusterSurvey> => {
      const cluster = topology.clusters[name]!;
      try {
        const { findings, notes } = await survey(cluster, redactor);
        found.set(name, findings);
        return { cluster: name, problem: undefined, notes };
      } catch (thrown) {
        return { cluster: name, problem: redactor.text(messageOf(thrown)), notes: [] };
      }
    }),
  );
  return { clusters: surveys, connectors: surveyConnectors(topology, found) };
}

async function survey(
  cluster: Cluster,
  redactor: Redactor,
): Promise<{ readonly findings: Findings; readonly notes: readonly string[] }> {
  const { broker, name } = cluster;
  if (!broker) throw new Error(`the file does not say where it is (clusters.${name}.broker)`);
  if (broker.type !== 'rabbitmq') throw new Error(`it is ${broker.type}, which has no management API to ask`);
  const log = createLog({ level: 'silent', redactor });
  const certificates = certificatesOf(cluster, { clock: systemClock, wallClock: () => Date.now(), log });
  const { management } = brokerConfig(cluster, 'plan', certificates.broker);
  if (!management) throw new Error(`it has no management API (clusters.${name}.broker.management.uris)`);
  const api = new Management(management);
  try {
    return await findingsFrom((path) => api.read(path), broker.vhost, broker.username);
  } finally {
    await api.close();
  }
}
