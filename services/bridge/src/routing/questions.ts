import type { Clock } from '@tombolo/kernel/clock';
import type { AnswerFrame, AskFrame, Destination, Finding, QuestionFrame } from '@tombolo/wire/frame';
import { limits } from '@tombolo/wire/limits';

export interface QuestionsOptions {
  readonly cluster: string;
  readonly clock: Clock;
  /** False: there is no way to the cluster that the frame is for. */
  readonly send: (frame: QuestionFrame) => boolean;
  /** What this bridge knows of a destination. */
  readonly answer: (destination: Destination) => Promise<readonly Finding[]>;
  /** What this bridge says of its own cluster, as JSON; undefined: nothing. */
  readonly site: () => string | undefined;
}

type Answer = Pick<AnswerFrame, 'findings' | 'site'>;

interface Pending {
  readonly sink: string;
  readonly findings: Finding[];
  readonly done: (answer: Answer | undefined) => void;
}

/** How long another bridge is given (ms). */
const ANSWER_MS = 2_000;
/** An answer may tell no more than this; who sends more is not listened to. */
const MOST_FINDINGS = 512;
/** Questions of others that are being answered at once: what is above it is dropped, so that nobody keeps our broker busy. */
const MOST_ANSWERING = 8;

/** What bridges ask each other of a destination, or of the cluster that they are beside, and what they answer. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #pending = new Map<number, Pending>();
  #asked = 0;
  #answering = 0;
  #closed = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /** What the bridge of `sink` knows of the destination; undefined: it did not answer in time. */
  async ask(sink: string, destination: Destination): Promise<readonly Finding[] | undefined> {
    return (await this.#ask(sink, destination))?.findings;
  }

  /** What the bridge of `sink` says of its own cluster, as JSON; undefined: it did not answer in time, or does not tell. */
  async askSite(sink: string): Promise<string | undefined> {
    return (await this.#ask(sink, { kind: 'cluster', name: sink }))?.site;
  }

  #ask(sink: string, destination: Destination): Promise<Answer | undefined> {
    const { cluster, clock, send } = this.#options;
    const question = ++this.#asked;
    return new Promise((resolve) => {
      const cancel = clock.wake(clock.now() + ANSWER_MS, () => this.#settle(question, undefined));
      const done: Pending['done'] = (answer) => {
        cancel();
        resolve(answer);
      };
      this.#pending.set(question, { sink, findings: [], done });
      const sent = !this.#closed && send({ kind: 'ask', source: cluster, sink, question, destination });
      if (!sent) this.#settle(question, undefined);
    });
  }

  /** A question for this bridge, or an answer to one of its own. */
  frame(frame: QuestionFrame): void {
    if (frame.kind === 'ask') {
      void this.#answer(frame);
      return;
    }
    const pending = this.#pending.get(frame.question);
    if (pending?.sink !== frame.sink) return; // too late, or of a predecessor's question
    pending.findings.push(...frame.findings.slice(0, MOST_FINDINGS - pending.findings.length));
    if (!frame.complete) return;
    const { findings } = pending;
    this.#settle(frame.question, frame.site === undefined ? { findings } : { findings, site: frame.site });
  }

  close(): void {
    this.#closed = true;
    for (const question of [...this.#pending.keys()]) this.#settle(question, undefined);
  }

  #settle(question: number, answer: Answer | undefined): void {
    const pending = this.#pending.get(question);
    this.#pending.delete(question);
    pending?.done(answer);
  }

  async #answer({ source, question, destination }: AskFrame): Promise<void> {
    const { answer, cluster, send } = this.#options;
    if (destination.kind === 'cluster' && destination.name === cluster && !this.#closed) {
      const site = this.#options.site();
      const told = site === undefined ? {} : { site };
      send({ kind: 'answer', source, sink: cluster, question, complete: true, findings: [], ...told });
      return;
    }
    if (this.#answering >= MOST_ANSWERING || this.#closed) return;
    this.#answering++;
    const findings = await answer(destination).catch(() => []);
    this.#answering--;
    if (this.#closed) return;
    for (let from = 0; from === 0 || from < findings.length; from += limits.findings) {
      const part = findings.slice(from, from + limits.findings);
      const complete = from + limits.findings >= findings.length;
      send({ kind: 'answer', source, sink: cluster, question, complete, findings: part });
    }
  }
}
