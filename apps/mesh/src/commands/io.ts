import type { ControlPort } from '../control/port.ts';
import { socketDirs } from '../control/socket-dirs.ts';
import { createSocketPort } from '../control/socket-port.ts';
import { createStyle, type Style, wantsColour } from '../render/style.ts';

/** Options that every command has. */
export interface CommonFlags {
  stateDir?: string;
  verbose?: boolean;
}

/** User id of this process; Windows has none and no Nix either. */
export function ownUid(): number {
  return process.getuid?.() ?? -1;
}

/** The agent on this machine that these options and the environment mean. */
export function runningAgent(flags: CommonFlags): ControlPort {
  return createSocketPort(socketDirs({ uid: ownUid(), env: process.env, stateDir: flags.stateDir }));
}

/** For programs and for what was asked. */
export function printOut(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Everything else. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  printOut(JSON.stringify(value, undefined, 2));
}

export function stdoutStyle(): Style {
  return createStyle(wantsColour(process.stdout, process.env));
}

export function stderrStyle(): Style {
  return createStyle(wantsColour(process.stderr, process.env));
}
