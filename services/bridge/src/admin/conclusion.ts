import type { TraceFinding } from './trace.ts';
import type { BridgeView } from './view.ts';

/** What one bridge says of a destination. */
export interface TraceItem {
  readonly cluster: string;
  readonly findings: readonly TraceFinding[];
}

/** What `/api/v1/trace` answers. */
export interface Trace {
  readonly destination: string;
  /** The cluster that was asked first, then the others. */
  readonly items: readonly TraceItem[];
  /** In one sentence: what becomes of its messages, and why. */
  readonly conclusion: string;
}

/**
 * What explains best that messages wait, the best first. First what makes a whole cluster idle, then how far messages
 * came: a stream that waits says more than a demand that is not served, and that more than a connector without a demand.
 */
const ranks: readonly string[] = [
  'reserved',
  'broker_down',
  'broker_blocked',
  'standby',
  'draining',
  'drained',
  'unsighted',
  'sink_waits',
  'source_waits',
  'source_refused',
  'queue_absent',
  'no_permission',
  'refused',
  'network_ttl',
  'paused',
  'pending',
  'link_down',
  'no_route',
  'not_permitted',
  'no_answer',
];
/** These explain nothing while nobody wants the messages. */
const needsDemand: ReadonlySet<string> = new Set(['no_route', 'sink_waits', 'no_answer']);

interface Cause {
  readonly cluster: string;
  readonly finding: TraceFinding;
}

/** One sentence on what all that were asked have said. Pure. */
export function concludes(items: readonly TraceItem[]): string {
  const origin = items[0];
  if (!origin) return 'Nobody was asked.';
  if (has(origin, 'reserved')) return 'Never bridged: the name is reserved.';
  const waiting = items.filter((item) => has(item, 'backlog'));
  // Messages that wait where the question was asked are what it was asked for.
  const focus = has(origin, 'backlog') || waiting.length === 0 ? [origin] : waiting;
  const wanted = items.some((item) => has(item, 'remote_demand') || has(item, 'local_demand') || has(item, 'static'));
  const silent = items.filter((item) => has(item, 'no_answer'));
  const causes = causesOf(items, focus).filter(({ finding }) => wanted || !needsDemand.has(finding.code));
  return waiting.length > 0
    ? ofWaiting(waiting, focus, causes, wanted, silent.length > 0 ? `; ${namesOf(silent)} did not answer` : '')
    : ofNone(origin, wanted, has(origin, 'sink_flows') ? undefined : causes[0]);
}

function ofWaiting(
  waiting: readonly TraceItem[],
  focus: readonly TraceItem[],
  causes: Cause[],
  wanted: boolean,
  silent: string,
): string {
  const flowing = focus.filter((item) => has(item, 'source_flows'));
  const where = namesOf(waiting);
  const [cause] = causes;
  if (flowing.length > 0) {
    const grave = cause && ranks.indexOf(cause.finding.code) < ranks.indexOf('unsighted') ? cause : undefined;
    return `Messages flow from ${namesOf(flowing)}${grave ? `, although, at ${told(grave)}` : ''}.`;
  }
  if (!wanted && cause?.finding.code === 'not_permitted' && !focus.some(({ cluster }) => cluster === cause.cluster))
    return `Messages wait at ${where} because no consumer is known; at ${told(cause)}.`;
  if (cause) return `Messages wait at ${where} because, at ${told(cause)}.`;
  if (!wanted) return `Messages wait at ${where} because no cluster that answered has a consumer${silent}.`;
  return `Messages wait at ${where}, and nothing was found that stops them: ask again in a moment.`;
}

function ofNone(origin: TraceItem, wanted: boolean, cause: Cause | undefined): string {
  if (cause && !has(origin, 'source_flows')) return `No message waits; one that came would because, at ${told(cause)}.`;
  if (!wanted) return 'No message waits, and nobody consumes.';
  if (has(origin, 'local_demand')) return `No message waits: the consumers at ${origin.cluster} come first.`;
  return 'No message waits: what comes flows at once.';
}

/** What a bridge answers that is not the master: it knows of no demand and no stream. */
export function standbyTrace(destination: string, { cluster, roleReason, broker }: BridgeView): Trace {
  const down = `its broker is not connected: ${broker.reason ?? broker.state}`;
  const standby = `this bridge is a standby: ${roleReason ?? 'another one is the master'}; ask that one`;
  const finding: TraceFinding = broker.up
    ? { code: 'standby', state: 'stops', text: standby }
    : { code: 'broker_down', state: 'stops', text: down };
  const items = [{ cluster, findings: [finding] }];
  return { destination, items, conclusion: `Not known: at ${cluster}, ${finding.text}.` };
}

/** What stops messages, the best explanation first; what a connector permits elsewhere matters less than what it permits here. */
function causesOf(items: readonly TraceItem[], focus: readonly TraceItem[]): Cause[] {
  const stopping = items.flatMap((item) =>
    item.findings
      .filter(({ state, code }) => state === 'stops' && !(code === 'not_permitted' && has(item, 'included')))
      .map((finding) => ({ cluster: item.cluster, finding })),
  );
  const rank = ({ cluster, finding }: Cause): number => {
    const at = ranks.indexOf(finding.code);
    const here = focus.some((item) => item.cluster === cluster);
    return (at < 0 ? ranks.length : at) * 2 + (here ? 0 : 1);
  };
  return stopping.toSorted((a, b) => rank(a) - rank(b));
}

function has({ findings }: TraceItem, code: string): boolean {
  return findings.some((each) => each.code === code);
}

function namesOf(items: readonly TraceItem[]): string {
  return items.map(({ cluster }) => cluster).join(' and ');
}

/** Without the figures that end a stream's sentence. */
function told({ cluster, finding }: Cause): string {
  return `${cluster}, ${finding.text.replace(/; \d+ settled, .*$/, '')}`;
}
