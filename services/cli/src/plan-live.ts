import type { ConnectorSurvey, QueueSurvey, TopologySurvey } from '@tombolo/bridge/survey/survey';
import { type Display, paper, printable, renderSentence } from './display.ts';
import { renderTable } from './table.ts';

/** Queues that are shown of one connector; `--json` has them all. */
const mostShown = 40;

/** What the live brokers have of what the topology means, for people. */
export function renderSurvey({ clusters, connectors }: TopologySurvey, display: Display = paper): string {
  const { palette } = display;
  const lines = clusters.flatMap(({ cluster, problem, notes }) => [
    ...(problem === undefined
      ? [`${cluster}: looked at`]
      : renderSentence('', palette.bad(`${cluster}: not looked at: ${printable(problem)}`), display)),
    ...notes.flatMap((note) => renderSentence('  ', palette.quiet(printable(note)), display)),
  ]);
  for (const connector of connectors) lines.push('', ...renderConnector(connector, display));
  return `${lines.join('\n')}\n`;
}

function renderConnector(survey: ConnectorSurvey, display: Display): string[] {
  const { palette } = display;
  const { connector, from, to, queues, exchanges, reserved } = survey;
  const fit = queues.filter(({ refused }) => refused === undefined);
  const sum = (count: (queue: QueueSurvey) => number | undefined): number =>
    fit.reduce((total, queue) => total + (count(queue) ?? 0), 0);
  const ready = sum((queue) => queue.ready);
  const consumers = sum((queue) => queue.consumers);
  const lines = [
    palette.strong(`connector ${connector} (${from} → ${to})`),
    `  ${fit.length} of ${queues.length} queues would be bridged: ${ready} messages ready at ${from}, ${consumers} consumers at ${to}`,
  ];
  if (reserved > 0) lines.push(palette.quiet(`  ${reserved} with reserved names are never bridged`));
  if (exchanges.length > 0) lines.push(`  exchanges: ${exchanges.map(printable).join(', ')}`);
  // What an operator has to do something about comes first.
  const rank = ({ refused, movers }: QueueSurvey): number => (refused !== undefined ? 0 : movers.length > 0 ? 1 : 2);
  const shown = queues.toSorted((a, b) => rank(a) - rank(b)).slice(0, mostShown);
  const table = renderTable(
    shown,
    [
      { title: 'QUEUE', cell: ({ queue }) => queue },
      { title: 'READY', align: 'right', cell: (queue) => queue.ready },
      { title: 'CONSUMERS', align: 'right', cell: (queue) => queue.consumers },
      { title: 'REFUSED, OR MOVED ALREADY', cell: remarkOn },
    ],
    { ...display, columns: display.columns - 2 },
  );
  if (shown.length > 0) lines.push(...table.map((line) => `  ${line}`));
  if (queues.length > shown.length) lines.push(palette.quiet(`  … and ${queues.length - shown.length} more (--json)`));
  return lines;
}

function remarkOn({ refused, movers }: QueueSurvey): string {
  const moved = movers.map((mover) => `moved by ${mover}`);
  return [...(refused === undefined ? [] : [`refused: ${refused}`]), ...moved].join('; ');
}
