import { isNamed, walk } from './header-table.ts';
import { scan, u32 } from './properties.ts';

/**
 * Whether there is a header `CC` or `BCC` in properties: RabbitMQ routes a message by them, too (rabbit_basic:header_routes), to whatever
 * queue they name. A bridge at the source renames `CC`, and no broker hands out `BCC`, so nobody but a liar sends them to a sink.
 */
export function hasRoutingHeader(properties: Uint8Array): boolean {
  if (!hasTwoCs(properties)) return false;
  try {
    const { headers } = scan(properties);
    if (headers < 0) return false;
    let found = false;
    walk(properties, headers + 4, headers + 4 + u32(properties, headers), (name) => {
      found ||= isNamed(properties, name, 'CC') || isNamed(properties, name, 'BCC');
    });
    return found;
  } catch {
    return false; // malformed: the broker takes none of it
  }
}

/** Nearly always they are nowhere, in a name or in anything else. */
function hasTwoCs(properties: Uint8Array): boolean {
  const last = properties.length - 1;
  for (let at = 0; at < last; at++) if (properties[at] === 0x43 && properties[at + 1] === 0x43) return true;
  return false;
}
