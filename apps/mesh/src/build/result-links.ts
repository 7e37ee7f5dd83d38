import { lstat, readlink, rename, symlink, unlink } from 'node:fs/promises';
import { CliError, EXIT } from '../errors.ts';

/** Outputs to link, by name, in the order of the installables. */
export type LinkedOutputs = readonly ReadonlyMap<string, string>[];

/**
 * Names of the links as `nix build` gives them: `result`, `result-1`, … for one installable after another, with the output's
 * name behind it unless it is `out`.
 */
export function resultLinks(outLink: string, results: LinkedOutputs): { link: string; target: string }[] {
  return results.flatMap((outputs, i) =>
    [...outputs].map(([name, target]) => ({
      link: `${outLink}${i === 0 ? '' : `-${i}`}${name === 'out' ? '' : `-${name}`}`,
      target,
    })),
  );
}

/**
 * Makes one link, in one step, in place of an older link into the store. Throws `MESH_LINK_EXISTS` where something else
 * stands there: a user's file is never replaced.
 */
export async function replaceLink(link: string, target: string, storeDir: string): Promise<void> {
  if (!(await isReplaceable(link, storeDir))) {
    throw new CliError(
      'MESH_LINK_EXISTS',
      EXIT.failure,
      `${link} exists and is not a link into ${storeDir}; move it away, or use -o or --no-link.`,
    );
  }
  const temporary = `${link}.tmp-${process.pid}`;
  try {
    await symlink(target, temporary);
  } catch (cause) {
    const reason = /^[A-Z0-9]+: (.+?), /.exec((cause as Error).message)?.[1] ?? (cause as Error).message;
    throw new CliError(
      'MESH_LINK_FAILED',
      EXIT.failure,
      `${target} is built and ${link} cannot be made (${reason}); use -o or --no-link.`,
      { cause },
    );
  }
  try {
    await rename(temporary, link);
  } catch (error) {
    await unlink(temporary);
    throw error;
  }
}

async function isReplaceable(link: string, storeDir: string): Promise<boolean> {
  try {
    if (!(await lstat(link)).isSymbolicLink()) return false;
    return (await readlink(link)).startsWith(`${storeDir}/`);
  } catch (error) {
    // Nothing there yet: the usual case.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}
