import { Api, Refused } from './api.js';
import * as dagre from './dagre.js';
import { Dialog } from './dialog.js';
import { element, keyed, say } from './elements.js';
import { NetworkGraph } from './graph.js';
import { bytesText, complaintsOf, counted, countText, pairKey, pictureOf, rateText } from './model.js';
import { Operations } from './operations.js';
import { fillTable } from './tables.js';

/** How often the bridge is asked while somebody looks (ms); after a failure less and less often. */
const everyMs = 2_000;
const slowestMs = 15_000;
/** Dead letters are read from their queue: seldom, and only when there are some. */
const deadLettersEveryMs = 10_000;
/** Rows that are shown of a table; a search finds the others. */
const mostRows = 200;

const byId = (id) => document.getElementById(id);
const api = new Api();
const dialog = new Dialog();
const operations = new Operations(api, dialog, () => ask());
const graph = new NetworkGraph(
  byId('graph'),
  (choice) => {
    selection = choice;
    if (latest) show(latest);
  },
  dagre,
);

let selection = {};
let latest;
let deadLetters;
let deadLettersAt = Number.NEGATIVE_INFINITY;
let answeredAt;
let timer;
let round = 0;

// ---- asking ----------------------------------------------------------------------------------------------------------

/** Asks for everything that is shown, shows it, and asks again after a while. */
async function ask() {
  clearTimeout(timer);
  const own = ++round;
  let failures = 0;
  for (;;) {
    let failed;
    try {
      const answers = await gather();
      if (own !== round) return;
      failures = 0;
      answeredAt = Date.now();
      latest = answers;
      show(answers);
    } catch (thrown) {
      if (own !== round) return;
      failed = thrown;
      failures += 1;
    }
    showFreshness(failed);
    if (document.hidden) return;
    await new Promise((resolve) => {
      timer = setTimeout(resolve, Math.min(slowestMs, everyMs * 2 ** Math.min(failures, 3)));
    });
    if (own !== round) return;
  }
}

async function gather() {
  const search = byId('search').value.trim();
  const pageSize = mostRows;
  const table = (name, query) => api.get(`api/v1/${name}`, { pageSize, ...query });
  const stuckOnly = byId('only-stuck').checked;
  const none = { items: [], total: 0 };
  const [status, network, unserved, blocked, served, flowing] = await Promise.all([
    api.get('api/v1/status'),
    api.get('api/v1/network'),
    table('demand', { stuck: true }),
    table('streams', { stuck: true }),
    stuckOnly ? none : table('demand', { search, stuck: false }),
    stuckOnly ? none : table('streams', { search, stuck: false }),
  ]);
  const found = (page, rows) => (search === '' ? rows : table(page, { search, stuck: true }));
  const [stuckDemand, stuckStreams] = await Promise.all([found('demand', unserved), found('streams', blocked)]);
  return {
    status,
    network,
    unserved,
    blocked,
    demand: joined(stuckDemand, served),
    streams: joined(stuckStreams, flowing),
  };
}

/** What is stuck comes first. */
function joined(stuck, others) {
  return { items: [...stuck.items, ...others.items], total: stuck.total + others.total };
}

async function gatherDeadLetters(status) {
  const { messages = 0 } = status.deadLetters ?? {};
  if (messages === 0) {
    deadLetters = undefined;
    return;
  }
  if (Date.now() - deadLettersAt < deadLettersEveryMs) return;
  deadLettersAt = Date.now();
  try {
    deadLetters = await api.get('api/v1/dead-letters', { pageSize: mostRows });
  } catch (thrown) {
    deadLetters = { problem: thrown.message };
  }
  if (latest) showDeadLetters(latest.status);
}

// ---- showing ---------------------------------------------------------------------------------------------------------

function show(answers) {
  const { status, network } = answers;
  document.title = `${status.cluster} · ${status.network} · Tombolo`;
  say(byId('network'), network.network);
  const role = status.role === 'master' ? 'master' : `standby${status.roleReason ? `: ${status.roleReason}` : ''}`;
  say(byId('seen-from'), `seen from ${status.cluster}, ${status.instance}, ${role}`);
  showComplaints(answers);
  const picture = pictureOf(network);
  graph.draw(picture, selection);
  showDetail(answers, picture);
  showDemand(answers);
  showStreams(answers);
  showConnectors(answers);
  showDeadLetters(status);
  showBridge(status);
  void gatherDeadLetters(status);
}

function showFreshness(failed) {
  const node = byId('freshness');
  const since =
    answeredAt === undefined ? '' : ` Shown is what it said at ${new Date(answeredAt).toLocaleTimeString()}.`;
  const why = failed instanceof Refused ? failed.message : 'The bridge does not answer: is it running?';
  say(node, failed ? `${why}${since}` : 'live');
  node.className = failed ? 'bad' : 'good';
  document.body.classList.toggle('stale', failed !== undefined);
}

function showComplaints({ status, network, unserved, blocked }) {
  const complaints = complaintsOf({ status, network, unserved: unserved.items, blocked: blocked.items });
  const more = unserved.total - unserved.items.length;
  if (more > 0) complaints.push({ about: {}, text: `${counted(more, 'demand')} more not served` });
  byId('attention').classList.toggle('well', complaints.length === 0);
  say(byId('attention-title'), complaints.length === 0 ? 'All is well' : 'Needs attention');
  const { totals } = status;
  const role = status.role === 'standby' ? ' A standby sees no demand and no streams: ask the master.' : '';
  const paused = network.connectors.filter(({ state }) => state === 'paused').map(({ name }) => name);
  const drained = status.drains.map(({ text }) => ` ${text}`).join('');
  const wished = `${paused.length > 0 ? ` Paused: ${paused.join(', ')}.` : ''}${drained}`;
  say(byId('all-well'), `${counted(totals.demand, 'demand')}, ${counted(totals.streams, 'stream')}.${role}${wished}`);
  keyed(
    byId('complaints'),
    complaints,
    ({ text }) => text,
    ({ about, text }) => {
      const name = about.destination;
      const item = element('li', {}, element('span', {}, text));
      if (about.cluster) item.append(linkButton('show', () => choose({ cluster: about.cluster })));
      if (about.link) item.append(linkButton('show', () => choose({ arrow: about.link })));
      if (name !== undefined) item.append(linkButton('why?', () => explain(name)));
      return item;
    },
    () => {},
  );
}

function linkButton(text, act) {
  return element('button', { type: 'button', class: 'link', onclick: act }, text);
}

function choose(choice) {
  selection = choice;
  if (latest) show(latest);
  byId('picture').scrollIntoView({ block: 'nearest' });
}

// ---- what is selected in the picture ------------------------------------------------------------------------------------

function showDetail({ status, network }, picture) {
  const host = byId('detail');
  const { cluster, arrow } = selection;
  const node = network.clusters.find(({ name }) => name === cluster);
  const way = arrow && picture.arrows.find(({ from, to }) => from === arrow[0] && to === arrow[1]);
  const back = arrow && picture.arrows.find(({ from, to }) => from === arrow[1] && to === arrow[0]);
  const [title, facts, connectors] = node
    ? [
        node.name,
        clusterFacts(node, network),
        network.connectors.filter(({ from, to }) => from === cluster || to === cluster),
      ]
    : way || back
      ? [
          `${arrow[0]} and ${arrow[1]}`,
          arrowFacts(way, back),
          [...new Set([...(way?.connectors ?? []), ...(back?.connectors ?? [])])],
        ]
      : ['', emptyFacts(network), []];
  const key = JSON.stringify([title, connectors.map(({ name, state }) => [name, state])]);
  if (host.dataset.key !== key) {
    host.dataset.key = key;
    const items = connectors.map((connector) => connectorItem(connector, status.cluster));
    host.replaceChildren(
      ...(title === '' ? [] : [element('h3', {}, title)]),
      element('dl'),
      ...(items.length === 0
        ? []
        : [element('h4', {}, counted(items.length, 'connector')), element('ul', {}, ...items)]),
    );
  }
  fillFacts(host.querySelector('dl'), facts);
}

function emptyFacts(network) {
  if (network.connectors.length === 0)
    return [['', 'No connectors yet: nothing flows until the file has networkConnectors.']];
  return [['', 'Select a cluster or an arrow to read more of it.']];
}

function clusterFacts({ name, seen, ageMs, site }, network) {
  if (!site) {
    const why = {
      silent: 'its bridge does not answer: it is busy, or older than this one',
      unreachable:
        'no way to its bridge from here: a link is down, networkTTL ends before it, or this bridge is a standby',
    };
    return [['seen', why[seen] ?? seen]];
  }
  const { broker } = site;
  const into = network.flows.filter(({ to }) => to === name).reduce((sum, { perSecond }) => sum + perSecond, 0);
  const out = network.flows.filter(({ from }) => from === name).reduce((sum, { perSecond }) => sum + perSecond, 0);
  return [
    [
      'seen',
      seen === 'own'
        ? 'it is this bridge’s cluster'
        : `as its bridge said ${Math.round((ageMs ?? 0) / 100) / 10} s ago`,
    ],
    ['bridge', `${site.instance}, ${site.role}, version ${site.version}`],
    [
      'broker',
      broker.up
        ? `${broker.product ?? broker.type}, connected`
        : `not connected: ${broker.reason ?? 'no reason given'}`,
    ],
    ...(broker.blocked === undefined ? [] : [['alarm', broker.blocked]]),
    ['addresses', broker.uris.join('\n') || 'none in its file'],
    [
      'demand',
      `${countText(site.demand)}, ${site.unserved === 0 ? 'all served' : `${countText(site.unserved)} not served`}`,
    ],
    ['streams', `${countText(site.streams)}, ${site.waiting === 0 ? 'none waits' : `${countText(site.waiting)} wait`}`],
    ['flow', `in ${rateText(into)}, out ${rateText(out)}`],
    ...(site.deadLetters ? [['dead letters', countText(site.deadLetters)]] : []),
    ...(site.drains.length > 0 ? [['drained', site.drains.join(' and ')]] : []),
  ];
}

function arrowFacts(way, back) {
  const { link } = way ?? back;
  const trip = link?.roundTripMs === undefined ? '' : `, round trip ${link.roundTripMs.toFixed(1)} ms`;
  const rate = (arrow) => {
    const relayed = arrow.relayed > 0 ? `, of it ${rateText(arrow.relayed)} relayed for others` : '';
    return [`${arrow.from} → ${arrow.to}`, `${arrow.text}${relayed}`];
  };
  return [
    ['link', `${link?.state ?? 'unknown'}${trip}${link?.reason ? `: ${link.reason}` : ''}`],
    ...(way ? [rate(way)] : []),
    ...(back ? [rate(back)] : []),
  ];
}

function connectorItem(connector, own) {
  const { name, from, to, duplex, state, reason } = connector;
  const item = element(
    'li',
    {},
    element('strong', {}, name),
    ` ${from} ${duplex ? '↔' : '→'} ${to}: `,
    element('span', { class: `state ${state}` }, state),
    reason === undefined ? '' : `, ${reason}`,
  );
  if (from === own || to === own) item.append(' ', connectorButton(name, state));
  return item;
}

function connectorButton(name, state) {
  return state === 'paused'
    ? operations.button('Resume', () => operations.resume(name))
    : operations.button('Pause', () => operations.pause(name));
}

function fillFacts(list, facts) {
  keyed(
    list,
    facts,
    ([name]) => name,
    ([name]) => element('div', {}, element('dt', {}, name), element('dd')),
    (row, [, text]) => say(row.lastElementChild, text),
  );
}

// ---- tables ----------------------------------------------------------------------------------------------------------

const whyColumn = {
  title: '',
  create: () => linkButton('why?', ({ currentTarget }) => explain(currentTarget.dataset.destination)),
  update: (button, { kind, destination }) => {
    button.dataset.destination = destination;
    button.hidden = kind !== 'queue';
    button.setAttribute('aria-label', `Why do messages of ${destination} move or not?`);
  },
};

function nameText({ kind, destination }) {
  return kind === 'queue' ? destination : `${destination} (${kind})`;
}

const demandColumns = [
  { title: 'Destination', text: nameText },
  { title: 'Consumers', number: true, text: ({ consumers }) => countText(consumers) },
  { title: 'At', text: ({ cluster }) => (cluster === latest?.status.cluster ? `${cluster} (here)` : cluster) },
  {
    title: 'Served',
    text: ({ unserved }) => unserved ?? 'yes',
    mood: ({ unserved }) => (unserved === undefined ? 'good' : 'bad'),
  },
  { title: 'Why it is not', text: ({ detail }) => detail },
  { title: 'Connectors', text: ({ connectors }) => connectors.join(', ') },
  whyColumn,
];

const streamColumns = [
  { title: 'Destination', text: nameText },
  { title: 'Flow', text: ({ role, peer }) => (role === 'source' ? `to ${peer}` : `from ${peer}`) },
  { title: 'Connector', text: ({ connector }) => connector },
  { title: 'State', text: ({ state }) => state, mood: ({ blockedBy }) => (blockedBy === undefined ? 'good' : 'bad') },
  { title: 'Settled', number: true, text: ({ accepted }) => countText(accepted) },
  { title: 'Unsettled', number: true, text: ({ unsettled }) => countText(unsettled) },
  { title: 'Credit', number: true, text: ({ credit }) => countText(credit) },
  { title: 'Why nothing moves', text: ({ blockedBy }) => blockedBy },
  whyColumn,
];

const connectorColumns = [
  { title: 'Name', text: ({ name }) => name },
  { title: 'Flow', text: ({ from, to, duplex }) => `${from} ${duplex ? '↔' : '→'} ${to}` },
  { title: 'State', text: ({ state }) => state, mood: ({ state }) => `state ${state}` },
  { title: 'Why', text: ({ reason }) => reason },
  { title: 'Messages', number: true, text: ({ rate }) => rateText(rate) },
  {
    title: '',
    create: () => element('span'),
    update: (cell, { name, state, from, to }) => {
      const own = latest?.status.cluster;
      const key = from === own || to === own ? `${name} ${state === 'paused'}` : '';
      if (cell.dataset.shown === key) return;
      cell.dataset.shown = key;
      cell.replaceChildren(...(key === '' ? [] : [connectorButton(name, state)]));
    },
  },
];

const deadLetterColumns = [
  { title: 'Parked', text: ({ time }) => time },
  { title: 'Destination', text: ({ destination }) => destination },
  { title: 'For', text: ({ peer }) => peer },
  { title: 'Attempts', number: true, text: ({ attempts }) => attempts },
  { title: 'Size', number: true, text: ({ bytes }) => bytesText(bytes) },
  { title: 'Message id', text: ({ messageId, id }) => messageId ?? id },
  { title: 'Reason', text: ({ reason }) => reason },
  {
    title: '',
    create: () => element('span', { class: 'buttons' }),
    update: (cell, { id }) => {
      if (cell.dataset.shown === id || id === undefined) return;
      cell.dataset.shown = id;
      const what = 'this message';
      cell.replaceChildren(
        operations.button('Replay', () => operations.replay({ id }, what)),
        operations.button('Drop', () => operations.drop({ id }, what)),
      );
    },
  },
];

function showDemand({ demand, unserved }) {
  const { items, total } = demand;
  const key = ({ kind, destination, cluster }) => `${kind} ${cluster} ${destination}`;
  fillTable(byId('demand'), demandColumns, items, key, noneText('No consumer of another cluster wants anything'));
  say(byId('demand-count'), shownText(items.length, total, unserved.total, 'not served'));
}

function showStreams({ streams, blocked }) {
  const { items, total } = streams;
  const key = ({ role, kind, destination, peer }) => `${role} ${kind} ${peer} ${destination}`;
  fillTable(byId('streams'), streamColumns, items, key, noneText('Nothing flows from or to this cluster'));
  say(byId('streams-count'), shownText(items.length, total, blocked.total, 'wait'));
}

function showConnectors({ network }) {
  const rates = new Map();
  for (const { connectors } of network.flows) {
    for (const { name, perSecond } of connectors) rates.set(name, (rates.get(name) ?? 0) + perSecond);
  }
  const links = new Map(network.links.map((link) => [pairKey(...link.between), link]));
  const rows = network.connectors.map((connector) => {
    const link = links.get(pairKey(connector.from, connector.to));
    const reason = connector.reason ?? (link?.state === 'down' ? link.reason : undefined);
    return { ...connector, reason, rate: rates.get(connector.name) ?? 0 };
  });
  const key = ({ name, from, to }) => `${name} ${from} ${to}`;
  fillTable(byId('connectors'), connectorColumns, rows, key, 'None in the file: nothing flows.');
  say(byId('connectors-count'), countText(rows.length));
}

function showDeadLetters({ deadLetters: known, role }) {
  const items = deadLetters?.items ?? [];
  const key = ({ id, messageId, time, destination }) => id ?? `${messageId} ${time} ${destination}`;
  const none = role === 'standby' ? 'Only the master knows.' : 'None.';
  fillTable(byId('dead-letters'), deadLetterColumns, items, key, deadLetters?.problem ?? none);
  const { messages = 0, queue = '' } = known ?? {};
  say(byId('dead-letters-count'), messages === 0 ? '' : `${countText(messages)} in ${queue}`);
}

function noneText(text) {
  return byId('search').value.trim() === '' && !byId('only-stuck').checked ? `${text}.` : 'Nothing that is looked for.';
}

function shownText(shown, total, stuck, what) {
  const some = shown < total ? `${countText(shown)} of ${countText(total)} shown` : countText(total);
  return stuck > 0 ? `${some}, ${countText(stuck)} ${what}` : some;
}

// ---- this bridge -----------------------------------------------------------------------------------------------------

function showBridge(status) {
  const { broker, cluster, drains, election, links } = status;
  fillFacts(byId('bridge'), [
    ['bridge', `${status.instance}, version ${status.version}`],
    [
      'role',
      status.role === 'master'
        ? `master, incarnation ${status.incarnation}`
        : `standby: ${status.roleReason ?? 'another one is the master'}`,
    ],
    ['election', `${election.type}${election.holder ? `, held by ${election.holder}` : ''}`],
    ['ready', status.readiness.ready ? 'yes' : status.readiness.reasons.join(' ')],
    ['broker', broker.up ? `${broker.product ?? broker.type} at ${broker.address}` : (broker.reason ?? broker.state)],
    ['demand is seen by', broker.demandMethod],
    ...links.map(({ peer, up, reason, state, bytesIn, bytesOut, reconnects, roundTripMs }) => [
      `link to ${peer}`,
      up
        ? `up, round trip ${roundTripMs?.toFixed(1) ?? '?'} ms, in ${bytesText(bytesIn)}, out ${bytesText(bytesOut)}, reconnected ${countText(reconnects)} times`
        : (reason ?? state),
    ]),
    ...drains.map(({ scope, text }) => [`drained: ${scope}`, text]),
  ]);
  const host = byId('bridge-operations');
  const key = JSON.stringify([cluster, drains.map(({ scope }) => scope)]);
  if (host.dataset.key !== key) {
    host.dataset.key = key;
    const scopes = drains.map(({ scope }) => scope);
    host.replaceChildren(
      element('button', { type: 'button', onclick: checkDrain }, 'Can this site be switched off?'),
      ...(scopes.includes('cluster') ? [] : [operations.button(`Drain ${cluster}`, () => operations.drain(cluster))]),
      ...scopes.map((scope) =>
        operations.button(`Undo the drain of the ${scope}`, () => operations.undrain(cluster, scope)),
      ),
    );
  }
  keyed(
    byId('notes'),
    status.notes,
    (note) => note,
    (note) => element('li', {}, note),
    () => {},
  );
}

async function checkDrain() {
  const title = 'Can this site be switched off?';
  dialog.show(title, element('p', {}, 'Counting what is left …'));
  try {
    const { items, left, complete, notes, cluster } = await api.get('api/v1/drain');
    const verdict = !left
      ? `Yes: nothing is left at ${cluster}.`
      : items.length > 0 || complete
        ? `No: messages are left at ${cluster}.`
        : `Whether anything is left at ${cluster} is not known.`;
    const table = element('table');
    const number = (title_, field) => ({
      title: title_,
      number: true,
      text: (row) => (row[field] === undefined ? '?' : countText(row[field])),
    });
    const columns = [
      { title: 'Destination', text: nameText },
      number('Ready', 'ready'),
      number('Unacknowledged', 'unacknowledged'),
      number('Unsettled', 'unsettled'),
      number('In doubt', 'inDoubt'),
      number('Dead letters', 'deadLettered'),
      number('Buffered', 'buffered'),
      { title: 'Why it will not leave', text: ({ stays }) => stays },
    ];
    fillTable(
      table,
      columns,
      items,
      ({ kind, destination, peer }) => `${kind} ${destination} ${peer}`,
      'Nothing is left.',
    );
    const told = notes.map((note) => element('p', {}, note));
    dialog.show(
      title,
      element('p', { class: left ? 'bad' : 'good' }, verdict),
      element('div', { class: 'scroll' }, table),
      ...told,
    );
  } catch (thrown) {
    dialog.show(title, element('p', {}, thrown.message));
  }
}

// ---- why -------------------------------------------------------------------------------------------------------------

/** Every bridge that can be reached is asked what it knows of the destination. */
async function explain(destination) {
  const title = `Why do messages of ${destination} move or not?`;
  dialog.show(title, element('p', {}, 'Asking every bridge that can be reached …'));
  try {
    const { items, conclusion } = await api.get('api/v1/trace', { destination });
    const marks = { ok: '✓', stops: '✗', info: '·' };
    const sections = items.flatMap(({ cluster, findings }) => [
      element('h3', {}, cluster),
      element(
        'ul',
        { class: 'findings' },
        ...findings.map(({ state, text }) => element('li', { class: state, 'data-mark': marks[state] }, text)),
      ),
      ...(findings.length === 0 ? [element('p', {}, 'Nothing is known of it here.')] : []),
    ]);
    dialog.show(title, element('p', { class: 'conclusion' }, conclusion), ...sections);
  } catch (thrown) {
    dialog.show(title, element('p', {}, thrown.message));
  }
}

// ---- beginning -------------------------------------------------------------------------------------------------------

let typing;
byId('search').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(ask, 200);
});
byId('only-stuck').addEventListener('change', () => ask());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void ask();
});
void ask();
