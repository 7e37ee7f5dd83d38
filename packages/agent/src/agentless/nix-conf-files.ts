import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** The text of a file; undefined where there is none. @throws any other trouble */
export type ReadText = (path: string) => string | undefined;

/** Files inside each other: more are a mistake. */
const MAX_INCLUDES = 16;

/**
 * The files that Nix reads its settings from, with those they include, whether they are there or not.
 * Source of the places: NixOS/nix src/libstore/globals.cc, src/libutil/configuration.cc.
 */
export function nixConfFiles(env: NodeJS.ProcessEnv, read: ReadText): string[] {
  const home = env.HOME ?? homedir();
  const userDirs = [
    env.XDG_CONFIG_HOME ?? join(home, '.config'),
    ...(env.XDG_CONFIG_DIRS ?? '/etc/xdg').split(':').filter((dir) => dir !== ''),
  ];
  const userFiles =
    env.NIX_USER_CONF_FILES?.split(':').filter((file) => file !== '') ??
    userDirs.map((dir) => join(dir, 'nix', 'nix.conf'));
  const files = new Set<string>();
  const take = (file: string, depth: number): void => {
    if (files.has(file) || depth > MAX_INCLUDES) return;
    files.add(file);
    for (const [, included] of (read(file) ?? '').matchAll(/^[ \t]*!?include[ \t]+(\S+)/gm))
      take(resolve(dirname(file), included!), depth + 1);
  };
  for (const file of [join(env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf'), ...userFiles]) take(file, 0);
  return [...files];
}
