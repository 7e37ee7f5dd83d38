import { realpath } from 'node:fs/promises';

const STORE_PATH = /^\/nix\/store\/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+\-._?=]{1,211}(?=\/|$)/;

/**
 * The store path that an argument of the command line names: itself, one it lies in, or one that a link leads to (`./result`).
 * Undefined where it names none, such as an installable.
 */
export async function storePathArgument(argument: string): Promise<string | undefined> {
  const named = STORE_PATH.exec(argument)?.[0];
  if (named !== undefined) return argument.includes('^') || argument.includes('#') ? undefined : named;
  if (argument === '' || argument.includes('#') || argument.startsWith('-')) return undefined;
  try {
    return STORE_PATH.exec(await realpath(argument))?.[0];
  } catch (error) {
    // The two ways of not being there; anything else is worth its own words.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
