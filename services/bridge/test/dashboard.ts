import { readFileSync } from 'node:fs';

/** One query of a panel, with every variable replaced. */
export interface PanelQuery {
  readonly panel: string;
  readonly expression: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  readonly datasource?: { readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
}

export interface Dashboard {
  readonly uid: string;
  readonly id: null;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

/** Where rules, dashboard and docs are. */
export const infra = new URL('../../../infra/', import.meta.url);

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(new URL('grafana/tombolo.json', infra), 'utf8'));
}

/** The queries of all panels, over all networks, clusters, connectors and destinations. */
export function queriesOf({ panels }: Dashboard): PanelQuery[] {
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expression: expr
        .replaceAll(/\$(network|cluster|connector|destination)\b/g, '.*')
        .replaceAll('$__rate_interval', '20s'),
    })),
  );
}
