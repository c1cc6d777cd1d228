/* What the answers of the bridge mean for whoever looks at them. Pure: no page, no network. */

/** A rate for people: `0.4/s`, `12/s`, `3,400/s`. */
export function rateText(perSecond) {
  if (perSecond === 0) return 'idle';
  const digits = perSecond < 10 ? 1 : 0;
  return `${perSecond.toLocaleString('en', { maximumFractionDigits: digits })}/s`;
}

/** A whole number for people. */
export function countText(number) {
  return number.toLocaleString('en');
}

/** `1.5 MiB`. */
export function bytesText(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `1 consumer`, `2 consumers`. */
export function counted(number, what) {
  return `${countText(number)} ${what}${number === 1 ? '' : 's'}`;
}

/** What an operator wished is no fault: neither a pause nor a drain is. */
const wished = new Set(['paused', 'drained']);

/**
 * What is not as it should be, the gravest first.
 * @returns sentences, each with what it is about: a cluster, the two ends of a link, or a destination
 */
export function complaintsOf({ status, network, unserved, blocked }) {
  const found = [];
  const { broker, cluster: own, readiness } = status;
  const say = (about, text) => found.push({ about, text });
  const at = (cluster) => ({ cluster });
  if (!broker.up) say(at(own), `The broker of ${own} is not connected: ${broker.reason ?? broker.state}`);
  else for (const reason of readiness.reasons) say(at(own), reason);
  if (broker.blocked !== undefined) say(at(own), `The broker of ${own} takes no messages: ${broker.blocked}`);
  for (const difference of status.differences) say(at(own), difference);
  for (const { between, state, reason } of network.links) {
    if (state === 'down')
      say({ link: between }, `The link of ${between.join(' and ')} is down: ${reason ?? 'no reason given'}`);
  }
  const down = new Set(network.links.filter(({ state }) => state === 'down').map(({ between }) => pairKey(...between)));
  for (const { name, from, to, state, reason } of network.connectors) {
    const also = reason === undefined ? '' : `: ${reason}`;
    if (state === 'pending') say({ link: [from, to] }, `Connector ${name} is pending${also}`);
    if (state === 'down' && !down.has(pairKey(from, to))) say({ link: [from, to] }, `Connector ${name} is down${also}`);
  }
  for (const { name, seen, site } of network.clusters) {
    if (name === own) continue;
    if (seen === 'silent') say(at(name), `The bridge of ${name} does not answer: it is busy, or older than this one`);
    if (!site) continue;
    if (!site.broker.up)
      say(at(name), `The broker of ${name} is not connected: ${site.broker.reason ?? 'no reason given'}`);
    if (site.broker.blocked !== undefined)
      say(at(name), `The broker of ${name} takes no messages: ${site.broker.blocked}`);
  }
  for (const row of unserved) {
    if (wished.has(row.unserved)) continue;
    const who = `${counted(row.consumers, 'consumer')} of ${row.destination} at ${row.cluster}`;
    say({ destination: row.destination }, `${who} not served: ${row.detail ?? row.unserved}`);
  }
  for (const { destination, peer, role, state, blockedBy } of blocked) {
    if (state !== 'refused') continue;
    const way = role === 'source' ? `to ${peer}` : `from ${peer}`;
    say({ destination }, `The stream of ${destination} ${way} is refused: ${blockedBy}`);
  }
  const { deadLetters } = status;
  if (deadLetters?.problem !== undefined) say(at(own), deadLetters.problem);
  return found;
}

/** The same whichever end is named first. */
export function pairKey(a, b) {
  return a < b ? `${a}\u0000${b}` : `${b}\u0000${a}`;
}

const moods = ['down', 'pending', 'paused', 'up', 'unknown'];

/**
 * The picture: a node for each cluster, and an arrow for each direction in which connectors let messages pass from one to another.
 * @returns nodes with a mood (`good`, `attention`, `bad`, `unknown`) and lines of text; arrows with a state, the worst of the link and of
 *   all connectors unless some of them work, and lines of text
 */
export function pictureOf(network) {
  const nodes = network.clusters.map((cluster) => nodeOf(cluster, network.cluster));
  const arrows = new Map();
  const arrow = (from, to) => {
    const key = `${from}\u0000${to}`;
    if (!arrows.has(key)) arrows.set(key, { key, from, to, connectors: [], perSecond: 0, relayed: 0 });
    return arrows.get(key);
  };
  for (const connector of network.connectors) {
    arrow(connector.from, connector.to).connectors.push(connector);
    if (connector.duplex) arrow(connector.to, connector.from).connectors.push(connector);
  }
  for (const { from, to, perSecond, relayed } of network.flows) {
    const found = arrows.get(`${from}\u0000${to}`);
    if (found) Object.assign(found, { perSecond, relayed });
  }
  const links = new Map(network.links.map((link) => [pairKey(...link.between), link]));
  return { nodes, arrows: [...arrows.values()].map((each) => arrowOf(each, links.get(pairKey(each.from, each.to)))) };
}

function nodeOf({ name, seen, site }, own) {
  const here = name === own;
  if (!site) {
    const text = seen === 'silent' ? 'does not answer' : 'not seen from here';
    return { name, here, mood: 'unknown', lines: [text] };
  }
  const { broker, drains, unserved, deadLetters, role } = site;
  const lines = [];
  if (!broker.up) lines.push('broker not connected');
  else if (broker.blocked !== undefined) lines.push('broker takes no messages');
  else lines.push(broker.product ?? broker.type);
  const more = [];
  if (role === 'standby') more.push('standby');
  if (drains.length > 0) more.push('drained');
  if (unserved > 0) more.push(`${countText(unserved)} unserved`);
  if (deadLetters > 0) more.push(counted(deadLetters, 'dead letter'));
  if (more.length > 0) lines.push(more.join(' · '));
  const bad = !broker.up || broker.blocked !== undefined;
  const mood = bad ? 'bad' : unserved > 0 || deadLetters > 0 ? 'attention' : 'good';
  return { name, here, mood, lines };
}

function arrowOf(arrow, link) {
  const { connectors, from, to, perSecond } = arrow;
  const states = connectors.map(({ state }) => state);
  const state =
    link?.state === 'down' ? 'down' : states.includes('up') ? 'up' : moods.find((mood) => states.includes(mood));
  const name = connectors.length === 1 ? connectors[0].name : `${connectors.length} connectors`;
  const telling = {
    up: rateText(perSecond),
    down: 'link down',
    paused: 'paused',
    pending: 'pending',
    unknown: 'not known',
  };
  const text = telling[state] ?? 'not known';
  return {
    ...arrow,
    link,
    state,
    name,
    text,
    flows: state === 'up' && perSecond > 0,
    label: `${from} to ${to}, ${name}: ${text}`,
  };
}
