/** What the bridge answers instead of what was asked; `message` is a sentence for people. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.message ?? `The bridge answered ${status}.`);
    this.status = status;
    this.error = problem.error;
  }
}

const patienceMs = 10_000;

/** The API of the bridge that served this page. */
export class Api {
  /** What opens operations; kept for as long as the page is open, and nowhere else. */
  token = '';

  /** @returns the answer, parsed. Rejects with Refused, or with what fetch rejects with when nobody answers */
  async get(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
    const search = new URLSearchParams(given).toString();
    return this.#ask(search ? `${path}?${search}` : path, {});
  }

  async post(path, body) {
    const headers = { ...(body && { 'content-type': 'application/json' }) };
    if (this.token !== '') headers.authorization = `Bearer ${this.token}`;
    return this.#ask(path, { method: 'POST', headers, ...(body && { body: JSON.stringify(body) }) }, 60_000);
  }

  async #ask(path, options, withinMs = patienceMs) {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(withinMs) });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refused(response.status, answer);
    return answer;
  }
}
