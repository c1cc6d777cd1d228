import { readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second, whatever its timer does. */
const ticksPerSecond = 100;

/** Seconds of processor time of these processes so far, all threads; a process that is gone counts as 0. */
export function processorSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length > 12) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / ticksPerSecond;
}

/** The most memory that a process ever had resident, in MiB. */
export function peakMemory(pid: number): number {
  return memory(pid, 'VmHWM');
}

/** The memory that a process has resident now, in MiB. */
export function residentMemory(pid: number): number {
  return memory(pid, 'VmRSS');
}

export interface Machine {
  /** Seconds of processor time spent in processes, of all processors together. */
  readonly busy: number;
  /** Seconds that the hypervisor gave to others while we wanted them. */
  readonly stolen: number;
}

export function machine(): Machine {
  const fields = read('/proc/stat').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , , , stolen = 0] = fields;
  return { busy: (user + nice + system) / ticksPerSecond, stolen: stolen / ticksPerSecond };
}

/** What the machine is, in a line. */
export function machineName(): string {
  const cpu = /^model name\s*:\s*(.*)$/m.exec(read('/proc/cpuinfo'))?.[1] ?? 'unknown processor';
  const cores = read('/proc/cpuinfo').match(/^processor\s/gm)?.length ?? 0;
  const gib = Math.round(Number(/^MemTotal:\s+(\d+)/m.exec(read('/proc/meminfo'))?.[1]) / 1024 / 1024);
  return `${cores} × ${cpu}, ${gib} GiB`;
}

function memory(pid: number, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
