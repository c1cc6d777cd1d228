import type { DrainScope } from '../admin/operations.ts';
import type { DrainView, LeftOver } from '../admin/view.ts';
import type { Candidacy } from '../candidacy.ts';
import type { Mastership } from '../mastership.ts';
import type { ClusterDrain } from './cluster-drain.ts';

export interface DrainsOptions {
  readonly cluster: string;
  readonly clusterDrain: ClusterDrain;
  readonly candidacy: Pick<Candidacy, 'stand'>;
  readonly mastership: () => Mastership | undefined;
  /** When a drain that begins now has to be over (monotonic ms). */
  readonly deadline: () => number;
}

interface ProcessDrain {
  readonly left: Promise<readonly LeftOver[]>;
  over: boolean;
}

/** What operators have drained: this process, which then stands by until it is undone, or the cluster. */
export class Drains {
  readonly #options: DrainsOptions;
  #process: ProcessDrain | undefined;

  constructor(options: DrainsOptions) {
    this.#options = options;
  }

  /** This process finishes what is in flight. */
  get draining(): boolean {
    return this.#process?.over === false;
  }

  /** Resolves with what was not settled in time. Rejects with a Fault when the broker cannot keep that the cluster is drained. */
  async drain(scope: DrainScope): Promise<readonly LeftOver[]> {
    if (scope === 'process') {
      this.#process ??= { left: this.#drainProcess(), over: false };
      return this.#process.left;
    }
    const { clusterDrain, mastership } = this.#options;
    await clusterDrain.set(true);
    return mastership()?.sink.left() ?? [];
  }

  /** Rejects with a Fault. */
  async undrain(scope: DrainScope): Promise<void> {
    const { candidacy, clusterDrain } = this.#options;
    if (scope === 'cluster') return clusterDrain.set(false);
    await this.#process?.left;
    this.#process = undefined;
    await candidacy.stand(true);
  }

  /** What is under way is settled while this bridge is the master still; then it stands for election no more. */
  async #drainProcess(): Promise<readonly LeftOver[]> {
    const { candidacy, deadline, mastership } = this.#options;
    const left = (await mastership()?.drain(deadline())) ?? [];
    await candidacy.stand(false, 'it is drained');
    if (this.#process) this.#process.over = true;
    return left;
  }

  views(): DrainView[] {
    const { cluster, clusterDrain } = this.#options;
    const views: DrainView[] = [];
    if (this.#process) {
      const what = this.#process.over
        ? 'This bridge is drained: it stands by and does not take over'
        : 'This bridge is draining: it takes no more, and hands over once what is in flight is settled';
      views.push({ scope: 'process', text: `${what}. \`tombolo resume --process\`, or a restart, undoes it.` });
    }
    if (clusterDrain.on) {
      const what = `Cluster ${cluster} is drained: nothing is brought in, while what waits here leaves`;
      views.push({ scope: 'cluster', text: `${what}. \`tombolo resume --cluster\` undoes it.` });
    }
    return views;
  }
}
