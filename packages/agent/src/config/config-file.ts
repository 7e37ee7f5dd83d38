import { chownSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Conf from 'conf';
import { AgentError } from '../errors.ts';
import type { JsonObject } from './key-paths.ts';
import { isJsonObject } from './key-paths.ts';
import { problemsIn } from './problems.ts';
import { CONFIG_VERSION } from './schema.ts';

/** A configuration of every key with long lists is a few tens of KiB. */
const MAX_FILE_BYTES = 1024 * 1024;

/** One `config.json`: checked whenever it is read, and before it is written, at once or not at all. */
export class ConfigFile {
  readonly path: string;
  readonly #dir: string;

  /** @param dir where `config.json` is, or is to be */
  constructor(dir: string) {
    this.#dir = dir;
    this.path = join(dir, 'config.json');
  }

  /**
   * What the file sets; nothing where there is none.
   * @throws AgentError AGENT_BAD_CONFIG: names the file and the key
   */
  read(): JsonObject {
    try {
      // Asked for first: `conf` makes the directory of a file it does not find.
      const stat = statSync(this.path, { throwIfNoEntry: false });
      if (stat === undefined) return {};
      if (stat.size > MAX_FILE_BYTES) throw this.#wrong(`it is larger than ${MAX_FILE_BYTES} bytes`);
      const { configVersion: _, ...config } = this.#open((text) => this.parse(text)).store;
      return config;
    } catch (cause) {
      if (cause instanceof AgentError) throw cause;
      throw this.#unusable('read', cause);
    }
  }

  /**
   * Puts a configuration in the file's place. Written by root, the file is its directory's owner's.
   * @throws AgentError AGENT_BAD_CONFIG where it is wrong, and where it cannot be written
   */
  write(config: JsonObject): void {
    const problems = problemsIn(config);
    if (problems.length > 0) throw this.#wrong(problems.join('; '));
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      const store: JsonObject = { configVersion: CONFIG_VERSION, ...config };
      // What is there may be wrong: it goes.
      this.#open(() => ({})).store = store;
      const { uid, gid } = statSync(dirname(this.path));
      if (process.getuid?.() === 0) chownSync(this.path, uid, gid);
    } catch (cause) {
      if (cause instanceof AgentError) throw cause;
      throw this.#unusable('written', cause);
    }
  }

  /**
   * What a text would set as this file's contents.
   * @param wrong makes the refusal of what is wrong; the file's own by default
   * @throws AgentError AGENT_BAD_CONFIG
   */
  parse(text: string, wrong = (what: string): Error => this.#wrong(what)): JsonObject {
    const config = jsonOf(text);
    if (config === undefined) throw wrong('it is not JSON');
    if (!isJsonObject(config.value)) throw wrong('it must be an object');
    const version = config.value.configVersion ?? CONFIG_VERSION;
    if (version !== CONFIG_VERSION) {
      throw new AgentError(
        'AGENT_BAD_CONFIG',
        `${this.path} is of version ${JSON.stringify(version)} and this mesh knows version ${CONFIG_VERSION} only; upgrade the mesh, or write the file anew.`,
        { exitCode: 2 },
      );
    }
    const problems = problemsIn(config.value);
    if (problems.length > 0) throw wrong(problems.join('; '));
    return config.value;
  }

  #open(deserialize: (text: string) => JsonObject): Conf<JsonObject> {
    return new Conf<JsonObject>({
      cwd: this.#dir,
      configName: 'config',
      deserialize,
      serialize: (config) => `${JSON.stringify(config, undefined, 2)}\n`,
      // A file that is wrong must be mended by its owner, never thrown away.
      clearInvalidConfig: false,
    });
  }

  #wrong(what: string): AgentError {
    return new AgentError('AGENT_BAD_CONFIG', `${this.path} is wrong (${what}); mend or remove it.`, {
      exitCode: 2,
    });
  }

  #unusable(verb: 'read' | 'written', cause: unknown): AgentError {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const what =
      code === 'EACCES' || code === 'EPERM'
        ? 'by this user; run the command as its owner (sudo)'
        : `(${reason}); mend that or name another directory`;
    return new AgentError('AGENT_BAD_CONFIG', `${this.path} cannot be ${verb} ${what}.`, { cause });
  }
}

function jsonOf(text: string): { value: unknown } | undefined {
  try {
    // Some editors begin a file with a byte order mark.
    return { value: JSON.parse(text.replace(/^\uFEFF/, '')) };
  } catch {
    return undefined;
  }
}
