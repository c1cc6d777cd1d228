import { element, keyed, say } from './elements.js';

/**
 * Fills a table. Rows stay the same nodes as long as their keys do.
 * @param columns each with a `title` and either `text(row)`, or `create()` and `update(node, row)` for what is no text; `number`: to the
 *   right; `mood(row)`: a class for the cell
 * @param empty what is said when there are no rows
 */
export function fillTable(table, columns, rows, keyOf, empty) {
  if (!table.tHead) {
    const titles = columns.map(({ title, number }) =>
      element('th', { scope: 'col', class: number && 'number' }, title),
    );
    table.append(element('thead', {}, element('tr', {}, ...titles)), element('tbody'));
  }
  const [body] = table.tBodies;
  const items = rows.length > 0 ? rows : [undefined];
  keyed(
    body,
    items,
    (row) => (row === undefined ? 'empty' : keyOf(row)),
    (row) =>
      row === undefined
        ? element('tr', {}, element('td', { colspan: columns.length, class: 'empty' }))
        : lineOf(columns),
    (line, row) => {
      if (row === undefined) say(line.firstElementChild, empty);
      else updateLine(line, columns, row);
    },
  );
}

function lineOf(columns) {
  const cells = columns.map(({ create, number }, index) => {
    const cell = element(index === 0 ? 'th' : 'td', { scope: index === 0 && 'row', class: number && 'number' });
    cell.append(create ? create() : element('bdi'));
    return cell;
  });
  return element('tr', {}, ...cells);
}

function updateLine(line, columns, row) {
  columns.forEach(({ text, update, mood, number }, index) => {
    const cell = line.children[index];
    const content = cell.firstElementChild;
    if (update) update(content, row);
    else say(content, text(row) ?? '');
    if (mood) cell.className = `${number ? 'number ' : ''}${mood(row) ?? ''}`;
  });
}
