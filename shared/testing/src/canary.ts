/** Every secret of the tests begins so: where it is read, a secret was told. */
const canary = 'NOT-TO-BE-SEEN';

/** A secret of the tests, to be recognised wherever it comes out. @param name tells it from others: letters, digits and dashes */
export function secretOf(name: string): string {
  return `${canary}-${name}`;
}

/** A secret looks like this in base64, by where in a group of three bytes it begins. */
const encoded = [0, 1, 2].map((offset) =>
  Buffer.from(`${'x'.repeat(offset)}${canary}`)
    .toString('base64')
    .slice(offset === 0 ? 0 : offset + 1, -4),
);
const told = new RegExp([canary, ...encoded, '-----BEGIN [A-Z ]*PRIVATE KEY'].join('|'));

/** The lines in which a secret of the tests, as it is or in base64, or a private key is told. */
export function leaksIn(text: string): string[] {
  return text.split('\n').filter((line) => told.test(line));
}
