import { header } from './header-table.ts';

/**
 * How often a quorum queue has taken the message back from consumers (`x-delivery-count`); 0 where nothing says so.
 * @throws Fault TOMBOLO_FRAME_INVALID when the properties are malformed
 */
export function deliveryCount(properties: Uint8Array): number {
  const field = header(properties, 'x-delivery-count');
  if (!field || !'lIsb'.includes(field.type)) return 0;
  const bytes = Buffer.from(field.value.buffer, field.value.byteOffset, field.value.byteLength);
  if (bytes.length === 8) return Math.max(0, Number(bytes.readBigInt64BE(0)));
  return bytes.length > 0 && bytes.length <= 4 ? Math.max(0, bytes.readIntBE(0, bytes.length)) : 0;
}
