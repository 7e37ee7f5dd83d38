import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { safeLine } from '../render/text.ts';

/** Asks on the terminal whether a host key nobody knows is right; one question at a time, however many machines connect. */
export function confirmHostKeys(): (host: string, keyType: string, fingerprint: string) => Promise<boolean> {
  let last: Promise<unknown> = Promise.resolve();
  return (host, keyType, fingerprint) => {
    const answer = last.then(async () => {
      const terminal = createInterface({ input: process.stdin, output: process.stderr });
      try {
        const shown = safeLine(`${host} shows the ${keyType} key ${fingerprint}`, false);
        return /^y(es)?$/i.test((await terminal.question(`${shown}. Is that right? [y/N] `)).trim());
      } finally {
        terminal.close();
      }
    });
    last = answer;
    return answer;
  };
}

/** A line that is not shown while it is typed; the first line of stdin where that is no terminal. */
export async function askSecret(question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(process.stdin.isTTY ? question : '');
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: process.stdin.isTTY });
  try {
    const { value } = await terminal[Symbol.asyncIterator]().next();
    return value ?? '';
  } finally {
    terminal.close();
    if (process.stdin.isTTY) process.stderr.write('\n');
  }
}
