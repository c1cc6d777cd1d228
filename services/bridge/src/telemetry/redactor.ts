/** What stands where a secret was. */
const mask = '***';

/** Shorter secrets are only replaced as whole words: `a` is in nearly every sentence. */
const shortest = 4;

/** `scheme://user:password@`; the password may hold anything but what ends the authority. */
const uriCredentials = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#"'<>]*@/gi;
const authorization = /\b(Basic|Bearer)\s+[\w+/=.~-]{6,}/gi;

/**
 * Takes secrets out of everything that leaves the process: logs, answers of the API, what is printed when it crashes.
 * It knows the secrets that were ever resolved, as they are and as they look in a URI, in JSON and in base64,
 * and it takes the credentials out of any URI, whether or not they are known.
 */
export class Redactor {
  readonly #known = new Set<string>();
  #secrets: RegExp | undefined;
  /** Also matches what `text` would change in a line of JSON, so that most lines need not be parsed. */
  #suspects: readonly RegExp[] = [];

  /** @param secrets passwords, tokens and link secrets, in clear text */
  constructor(secrets: readonly string[]) {
    this.learn(secrets);
  }

  /** Knows these too from now on; those from before stay known. */
  learn(secrets: readonly string[]): void {
    for (const secret of secrets) if (secret !== '') this.#known.add(secret);
    const known = [...this.#known];
    this.#secrets = anyOf(known.flatMap(spellings));
    const inJson = anyOf(known.flatMap(spellings).map((secret) => JSON.stringify(secret).slice(1, -1)));
    this.#suspects = [uriCredentials, authorization, ...(inJson ? [inJson] : [])];
  }

  /** The text without secrets. */
  text(text: string): string {
    const known = this.#secrets ? text.replace(this.#secrets, mask) : text;
    return known.replace(uriCredentials, `$1${mask}@`).replace(authorization, `$1 ${mask}`);
  }

  /** A copy of plain data with every string redacted; property names are left alone. */
  deep<T>(value: T): T {
    if (typeof value === 'string') return this.text(value) as T;
    if (Array.isArray(value)) return value.map((item) => this.deep(item)) as T;
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, this.deep(field)])) as T;
  }

  /** A line of JSON with every string value redacted; still valid JSON, whatever the secrets are. */
  jsonLine(line: string): string {
    if (!this.#suspects.some((pattern) => line.search(pattern) >= 0)) return line;
    try {
      return `${JSON.stringify(this.deep(JSON.parse(line)))}\n`;
    } catch {
      return this.text(line);
    }
  }
}

function spellings(secret: string): string[] {
  return [secret, encodeURIComponent(secret), encodeURI(secret), Buffer.from(secret).toString('base64')];
}

/** Longest first, so that a secret that begins with another one is not left half readable. */
function anyOf(secrets: readonly string[]): RegExp | undefined {
  if (secrets.length === 0) return undefined;
  const alternatives = [...new Set(secrets)]
    .sort((a, b) => b.length - a.length)
    .map((secret) => {
      const escaped = secret.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
      return secret.length >= shortest ? escaped : `(?<![A-Za-z0-9_])${escaped}(?![A-Za-z0-9_])`;
    });
  return new RegExp(alternatives.join('|'), 'g');
}
