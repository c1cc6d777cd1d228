import { vi } from 'vitest';
import { runProgram } from '../src/program.ts';

/** What a call of the command writes, and the exit code that it asks for. */
export interface Called {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs the command in this process; its standard output is no terminal, unless the test says so. */
export async function call(...args: string[]): Promise<Called> {
  let [out, err] = ['', ''];
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  const complained = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text;
    return true;
  });
  process.exitCode = undefined;
  try {
    await runProgram(args);
    return { out, err, code: Number(process.exitCode ?? 0) };
  } finally {
    written.mockRestore();
    complained.mockRestore();
    process.exitCode = undefined;
  }
}
