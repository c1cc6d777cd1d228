import { drawn, keyed, printable, say } from './elements.js';

const nodeWidth = 190;
const nodeHeight = 66;
const lineHeight = 16;
const margin = 14;

/**
 * The network as a drawing. Places are found anew only when clusters or connectors come or go, so that nothing jumps while
 * rates change. Clusters and arrows are buttons, in reading order.
 */
export class NetworkGraph {
  #host;
  #chosen;
  #dagre;
  #svg;
  #layers = {};
  #shape = '';
  #places;

  /**
   * @param host the element to draw in
   * @param chosen called with `{cluster}` or `{arrow: [from, to]}` when one is chosen
   * @param dagre the library that finds places
   */
  constructor(host, chosen, dagre) {
    this.#host = host;
    this.#chosen = chosen;
    this.#dagre = dagre;
  }

  /** @param selection what is chosen, as it was told */
  draw({ nodes, arrows }, selection) {
    const shape = JSON.stringify([nodes.map(({ name }) => name), arrows.map(({ key, name }) => [key, name])]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#places = placesOf(nodes, arrows, this.#dagre);
      this.#begin();
    }
    keyed(
      this.#layers.arrows,
      arrows,
      ({ key }) => key,
      (arrow) => this.#createArrow(arrow),
      (node, arrow) => this.#updateArrow(node, arrow, selection),
    );
    keyed(
      this.#layers.nodes,
      nodes,
      ({ name }) => name,
      (node) => this.#createNode(node),
      (group, node) => this.#updateNode(group, node, selection),
    );
  }

  #begin() {
    const { width, height } = this.#places;
    const tip = (state) =>
      drawn(
        'marker',
        {
          id: `tip-${state}`,
          viewBox: '0 0 10 10',
          refX: 9,
          refY: 5,
          markerWidth: 11,
          markerHeight: 11,
          orient: 'auto',
          markerUnits: 'userSpaceOnUse',
        },
        drawn('path', { d: 'M0,1 L10,5 L0,9 z', class: `tip ${state}` }),
      );
    this.#layers = { arrows: drawn('g'), nodes: drawn('g') };
    this.#svg = drawn(
      'svg',
      { viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Clusters and connectors' },
      drawn('defs', {}, ...['up', 'down', 'paused', 'pending', 'unknown'].map(tip)),
      this.#layers.arrows,
      this.#layers.nodes,
    );
    // Never larger than life, and no smaller than can be read: what is larger than its frame is scrolled to.
    this.#svg.style.width = `${width}px`;
    this.#svg.style.minWidth = `${Math.min(width, width * 0.62)}px`;
    this.#host.replaceChildren(this.#svg);
  }

  #button(choice) {
    const choose = (event) => {
      if (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      this.#chosen(choice);
    };
    return { tabindex: 0, role: 'button', onclick: choose, onkeydown: choose };
  }

  #createArrow({ key, from, to }) {
    const { points, x, y } = this.#places.arrows.get(key);
    const d = curve(points, this.#places.nodes.get(from), this.#places.nodes.get(to));
    return drawn(
      'g',
      this.#button({ arrow: [from, to] }),
      drawn('title'),
      drawn('path', { d, class: 'reach' }),
      drawn('path', { d, class: 'line' }),
      drawn('text', { x, y: y - 4, class: 'name' }),
      drawn('text', { x, y: y + 12, class: 'rate' }),
    );
  }

  #updateArrow(group, arrow, { arrow: chosen }) {
    const { from, to, state, flows, name, text, label, perSecond } = arrow;
    const isChosen = chosen?.[0] === from && chosen[1] === to;
    group.setAttribute('class', `arrow ${state}${flows ? ' flows' : ''}${isChosen ? ' chosen' : ''}`);
    group.setAttribute('aria-label', printable(label));
    group.setAttribute('aria-pressed', String(isChosen));
    const [title, , line, nameText, rateText] = group.children;
    say(title, label);
    line.setAttribute('marker-end', `url(#tip-${state})`);
    line.style.strokeWidth = `${1.6 + (flows ? Math.min(4, Math.log10(1 + perSecond)) : 0)}px`;
    say(nameText, shortened(name, 22));
    say(rateText, text);
  }

  #createNode({ name }) {
    const { x, y } = this.#places.nodes.get(name);
    return drawn(
      'g',
      { ...this.#button({ cluster: name }), transform: `translate(${x - nodeWidth / 2} ${y - nodeHeight / 2})` },
      drawn('title'),
      drawn('rect', { width: nodeWidth, height: nodeHeight, rx: 8, class: 'card' }),
      drawn('rect', { width: 6, height: nodeHeight, rx: 3, class: 'mood' }),
      drawn('text', { x: 18, y: 23, class: 'name' }),
      drawn('text', { x: 18, y: 23 + lineHeight + 2, class: 'line' }),
      drawn('text', { x: 18, y: 23 + 2 * lineHeight + 2, class: 'line more' }),
    );
  }

  #updateNode(group, { name, here, mood, lines }, { cluster: chosen }) {
    const isChosen = chosen === name;
    group.setAttribute('class', `cluster ${mood}${here ? ' here' : ''}${isChosen ? ' chosen' : ''}`);
    const label = `${name}${here ? ', this bridge’s cluster' : ''}: ${lines.join(', ')}`;
    group.setAttribute('aria-label', printable(label));
    group.setAttribute('aria-pressed', String(isChosen));
    const [title, , , nameText, line, more] = group.children;
    say(title, label);
    say(nameText, `${shortened(name, here ? 13 : 19)}${here ? ' (here)' : ''}`);
    say(line, shortened(lines[0] ?? '', 25));
    say(more, shortened(lines[1] ?? '', 25));
  }
}

function shortened(text, most) {
  const units = [...text];
  return units.length > most ? `${units.slice(0, most - 1).join('')}…` : text;
}

/** Where everything is, in px from the upper left corner. */
function placesOf(nodes, arrows, { Graph, layout }) {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', nodesep: 26, edgesep: 18, ranksep: 60, marginx: margin, marginy: margin });
  for (const { name } of nodes) graph.setNode(name, { width: nodeWidth, height: nodeHeight });
  for (const { key, from, to, name } of arrows) {
    const width = Math.max(74, Math.min(22, [...name].length) * 6.6 + 10);
    graph.setEdge(from, to, { width, height: 34, labelpos: 'c' }, key);
  }
  layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  return {
    width: Math.max(width, nodeWidth + 2 * margin),
    height: Math.max(height, nodeHeight + 2 * margin),
    nodes: new Map(graph.nodes().map((name) => [name, graph.node(name)])),
    arrows: new Map(graph.edges().map((edge) => [edge.name, graph.edge(edge)])),
  };
}

/** How far from the middle of a cluster's side arrows may begin and end (px). */
const spread = nodeHeight / 2 - 10;

/**
 * From the side of one cluster to the side of the other, by where the label is: level wherever it passes a point, so that a line is
 * read with its own label.
 */
function curve(points, from, to) {
  const along = from.x <= to.x ? 1 : -1;
  const side = (node, towards, sign) => {
    const off = (towards.y - node.y) * 0.7;
    return { x: node.x + (sign * nodeWidth) / 2, y: node.y + Math.max(-spread, Math.min(spread, off)) };
  };
  const inner = points.slice(1, -1);
  const first = side(from, inner[0] ?? to, along);
  let d = `M${at(first)}`;
  let before = first;
  for (const point of [...inner, side(to, inner.at(-1) ?? from, -along)]) {
    const middle = (before.x + point.x) / 2;
    d += ` C${at({ x: middle, y: before.y })} ${at({ x: middle, y: point.y })} ${at(point)}`;
    before = point;
  }
  return d;
}

function at({ x, y }) {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}
