import type { Alteration, BridgePlan, ConnectorPlan } from './plan.ts';

/** What a plan means for one bridge, a line each: what a log says and `tombolo plan` shows. No secret is in it. */
export function planLines({ connectors, settings }: BridgePlan): string[] {
  return [
    ...connectors.flatMap(connectorLines),
    ...settings.map((setting) => `${alterationText(setting)}${setting.needsRestart ? ' (needs a restart)' : ''}`),
  ];
}

const verbs = { start: 'starts', stop: 'stops', alter: 'changes' } as const;

function connectorLines({ name, does, from, to, duplex, alterations }: ConnectorPlan): string[] {
  const way = `connector ${name} ${verbs[does]} (${from} ${duplex ? '↔' : '→'} ${to})`;
  return does === 'alter' ? alterations.map((alteration) => `${way}: ${alterationText(alteration)}`) : [way];
}

/** `prefetchSize: 1000 → 50`. */
export function alterationText({ path, before, after }: Alteration): string {
  return before === undefined || after === undefined ? `${path}: another value` : `${path}: ${before} → ${after}`;
}
