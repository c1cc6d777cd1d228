import { isNamed, walk } from './header-table.ts';
import { scan, u32 } from './properties.ts';

/** How the names stand in a header table: their length, then their letters. */
const names = [Buffer.from('\u0002CC', 'latin1'), Buffer.from('\u0003BCC', 'latin1')] as const;

/**
 * Whether there is a header `CC` or `BCC` in properties: RabbitMQ routes a message by them, too (rabbit_basic:header_routes), to whatever
 * queue they name. A bridge at the source renames `CC`, and no broker hands out `BCC`, so nobody but a liar sends them to a sink.
 */
export function hasRoutingHeader(properties: Uint8Array): boolean {
  const bytes = Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength);
  // Nearly always neither is anywhere, as a name or as a part of something else.
  if (!names.some((name) => bytes.includes(name))) return false;
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
