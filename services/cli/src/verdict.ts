import type { Snapshot } from './snapshot.ts';

/**
 * What is not as it should be, as sentences, the gravest first; empty when all is well. What an operator wished, such
 * as a paused connector, is no fault.
 */
export function complaintsAbout({ status, demand, streams }: Snapshot): string[] {
  const { broker, links, connectors, cluster } = status;
  const complaints: string[] = [];
  if (!broker.up) complaints.push(`The broker of ${cluster} is not connected: ${broker.reason ?? broker.state}`);
  else if (!status.readiness.ready) complaints.push(...status.readiness.reasons);
  if (broker.blocked !== undefined) complaints.push(`The broker of ${cluster} takes no messages: ${broker.blocked}`);
  const refused = status.config?.refused;
  if (refused) {
    const [first = ''] = refused.problems;
    const more = refused.problems.length > 1 ? ` (and ${refused.problems.length - 1} more)` : '';
    complaints.push(`The topology was refused at ${refused.at}, and the one before is in force: ${first}${more}`);
  }
  complaints.push(...(status.differences ?? [])); // a bridge of an earlier version does not tell
  for (const { peer, up, reason, state } of links) {
    if (!up) complaints.push(`The link to ${peer} is down: ${reason ?? state}`);
  }
  const down = new Set(links.filter(({ up }) => !up).map(({ peer }) => peer));
  for (const { name, peer, state, reason } of connectors) {
    if (state === 'pending') complaints.push(`Connector ${name} is pending: ${reason ?? `${peer} does not know it`}`);
    if (state === 'down' && !down.has(peer))
      complaints.push(`Connector ${name} is down: ${reason ?? 'no reason given'}`);
  }
  for (const { destination, cluster: where, unserved, detail, consumers } of demand) {
    if (unserved === undefined || unserved === 'paused' || unserved === 'drained') continue;
    const who = `${consumers} consumer${consumers === 1 ? '' : 's'} of ${destination} at ${where}`;
    complaints.push(`${who} not served: ${detail ?? unserved}`);
  }
  for (const { destination, peer, state, blockedBy, role } of streams) {
    if (state !== 'refused') continue;
    complaints.push(
      `The stream of ${destination} ${role === 'source' ? 'to' : 'from'} ${peer} is refused: ${blockedBy ?? ''}`,
    );
  }
  const { deadLetters } = status;
  if (deadLetters?.problem !== undefined) complaints.push(deadLetters.problem);
  return complaints;
}
