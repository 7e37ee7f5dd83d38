import { globSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import SSHConfig, { type Line, LineType } from 'ssh-config';
import { MAX_CONFIG_FILE_BYTES, MAX_INCLUDE_DEPTH } from './constants.ts';
import { SshError } from './errors.ts';

/** The files a program reads by itself, as OpenSSH's client does. */
export interface SshFiles {
  /** Undefined where there is no such file. @throws any other trouble */
  read(path: string): string | undefined;
  /** Paths that match a pattern of `Include`, in order. */
  match(pattern: string): readonly string[];
}

/** This machine's own. */
export const realSshFiles: SshFiles = {
  read(path) {
    try {
      if (statSync(path).size > MAX_CONFIG_FILE_BYTES) {
        throw new SshError(
          'SSH_BAD_CONFIG',
          `${path} is larger than an SSH configuration can be: see what is in it.`,
        );
      }
      return readFileSync(path, 'utf8');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    }
  },
  match: (pattern) => globSync(pattern).sort(),
};

/**
 * Reads `ssh_config` files in order into one configuration, `Include`d ones in their places; as with OpenSSH the first
 * value counts, and files that are not there are passed over. @throws SshError SSH_BAD_CONFIG naming the file
 */
export function readSshConfig(paths: readonly string[], home: string, files: SshFiles): SSHConfig {
  const config = SSHConfig.parse('');
  for (const path of paths) config.push(...readFile(path, home, files, 0));
  return config;
}

function readFile(path: string, home: string, files: SshFiles, depth: number): Line[] {
  if (depth > MAX_INCLUDE_DEPTH) {
    throw new SshError(
      'SSH_BAD_CONFIG',
      `${path} is included in itself: mend the Include lines of ssh_config.`,
    );
  }
  let text: string | undefined;
  try {
    text = files.read(path);
  } catch (error) {
    if (error instanceof SshError) throw error;
    throw new SshError(
      'SSH_BAD_CONFIG',
      `${path} cannot be read (${(error as Error).message}): give the agent's user the right to read it.`,
      { cause: error },
    );
  }
  if (text === undefined) return [];
  let lines: SSHConfig;
  try {
    lines = SSHConfig.parse(text);
  } catch (error) {
    throw new SshError('SSH_BAD_CONFIG', `${path} is no ssh_config: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  return expand([...lines], path, home, files, depth);
}

function expand(lines: readonly Line[], path: string, home: string, files: SshFiles, depth: number): Line[] {
  return lines.flatMap((line): Line[] => {
    if (line.type !== LineType.DIRECTIVE) return [];
    if ('config' in line) {
      const inner = expand([...line.config], path, home, files, depth);
      line.config.splice(0, line.config.length, ...inner.filter((included) => !('config' in included)));
      return [line];
    }
    // To resolve names by asking a name server is the connection's business, and no reason to start a process.
    if (/^(CanonicalizeHostname|CanonicalDomains)$/i.test(line.param)) return [];
    if (!/^include$/i.test(line.param)) return [line];
    const patterns =
      typeof line.value === 'string' ? line.value.split(/\s+/) : line.value.map(({ val }) => val);
    return patterns
      .flatMap((pattern) => files.match(absolute(pattern, path, home)))
      .flatMap((included) => readFile(included, home, files, depth + 1));
  });
}

/** ssh_config(5): relative includes of the system's file are in `/etc/ssh`, of a user's in `~/.ssh`. */
function absolute(pattern: string, includedBy: string, home: string): string {
  if (pattern.startsWith('~/')) return join(home, pattern.slice(2));
  if (isAbsolute(pattern)) return pattern;
  return join(dirname(includedBy), pattern);
}
