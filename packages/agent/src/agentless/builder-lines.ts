import { readFileSync } from 'node:fs';
import { type NixSystemInfo, systemInfo } from '@mesh/nix';
import { type BuilderMachine, type MachineTrouble, parseMachines } from '@mesh/ssh';
import type { BuildersConfig } from '../config/sections/builders.ts';
import { FileMarks } from './file-marks.ts';
import { nixConfFiles, type ReadText } from './nix-conf-files.ts';

/** What Nix's settings say of builders. */
export interface BuildersSetting {
  /** Machines, `@FILE`s. */
  readonly builders: string;
  /** `builders-use-substitutes`: what their own substituters have they get there. */
  readonly useSubstitutes: boolean;
}

export interface BuilderLinesInit {
  /** Nix's settings as they are when this is made. */
  readonly setting: BuildersSetting;
  /** Whether Nix's `builders` count. */
  readonly fromNix: boolean;
  /** Lines of the agent's own configuration, which counts from start to start. */
  readonly machines: readonly string[];
}

export interface BuilderLinesComponents {
  /** Asks Nix anew. @throws NixError */
  readonly readSetting: () => Promise<BuildersSetting>;
  readonly readText: ReadText;
  readonly env: NodeJS.ProcessEnv;
}

/** What the lines say at the moment. */
export interface BuilderList {
  readonly machines: readonly BuilderMachine[];
  readonly troubles: readonly MachineTrouble[];
  readonly useSubstitutes: boolean;
}

/** The lines that name builders, in Nix's settings and in the files these point to: users edit them while the agent runs. */
export class BuilderLines {
  readonly #init: BuilderLinesInit;
  readonly #components: BuilderLinesComponents;
  readonly #settingFiles = new FileMarks();
  readonly #machinesFiles = new FileMarks();
  #setting: BuildersSetting;

  constructor(init: BuilderLinesInit, components: BuilderLinesComponents) {
    this.#init = init;
    this.#components = components;
    this.#setting = init.setting;
    this.#markSettingFiles();
  }

  /** Reads the machines files. */
  read(): BuilderList {
    const { fromNix, machines } = this.#init;
    const { builders, useSubstitutes } = this.#setting;
    this.#machinesFiles.forgetAll();
    const read = [...(fromNix ? [builders] : []), ...machines].map((text) =>
      parseMachines(text, (path) => {
        this.#machinesFiles.remember(path);
        return this.#components.readText(path);
      }),
    );
    return {
      machines: read.flatMap((each) => each.machines),
      troubles: read.flatMap(({ troubles }) => troubles),
      useSubstitutes,
    };
  }

  /** Whether there is something new to read; asks Nix for its settings where their files changed. @throws NixError */
  async haveChanged(): Promise<boolean> {
    if (this.#settingFiles.haveChanged) {
      this.#markSettingFiles();
      this.#setting = await this.#components.readSetting();
      return true;
    }
    return this.#machinesFiles.haveChanged;
  }

  #markSettingFiles(): void {
    const { env, readText } = this.#components;
    this.#settingFiles.forgetAll();
    const files = nixConfFiles(env, (path) => {
      this.#settingFiles.remember(path);
      // What cannot be read is Nix's to complain of.
      try {
        return readText(path);
      } catch {
        return undefined;
      }
    });
    for (const file of files) this.#settingFiles.remember(file);
  }
}

/** The lines of this machine. */
export function builderLinesOf(
  { fromNix = true, machines = [] }: BuildersConfig,
  nix: NixSystemInfo,
): BuilderLines {
  const settingOf = ({ builders, buildersUseSubstitutes }: NixSystemInfo): BuildersSetting => ({
    builders,
    useSubstitutes: buildersUseSubstitutes,
  });
  return new BuilderLines(
    { setting: settingOf(nix), fromNix, machines },
    { readSetting: async () => settingOf(await systemInfo()), readText, env: process.env },
  );
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
