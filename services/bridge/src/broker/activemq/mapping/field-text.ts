import { isUtf8 } from 'node:buffer';
import { type Field, sizedValue } from './content-header.ts';

/**
 * What a field of an AMQP table is as text, which is all that a property can be over STOMP; undefined for a table, an array, bytes,
 * nothing (void), and a string that is no UTF-8: no consumer there could tell it from another.
 */
export function fieldText(field: Field): string | undefined {
  const { type, value } = field;
  switch (type) {
    case 'S':
      return validText(sizedValue(field));
    case 't':
      return value[0] === 0 ? 'false' : 'true';
    case 'b':
      return String(value.readInt8());
    case 'B':
      return String(value.readUInt8());
    case 's':
      return String(value.readInt16BE());
    case 'u':
      return String(value.readUInt16BE());
    case 'I':
      return String(value.readInt32BE());
    case 'i':
      return String(value.readUInt32BE());
    case 'l':
    case 'L':
      return String(value.readBigInt64BE());
    case 'T':
      return String(value.readBigUInt64BE());
    case 'f':
      return shortestFloat(value.readFloatBE());
    case 'd':
      return String(value.readDoubleBE());
    case 'D':
      return decimal(value.readUInt8(), value.readInt32BE(1));
    default:
      return undefined;
  }
}

/** The text of these bytes; undefined when they are no UTF-8. */
export function validText(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

function shortestFloat(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(value);
}

function decimal(scale: number, unscaled: number): string {
  const digits = String(Math.abs(unscaled)).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${unscaled < 0 ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
}
