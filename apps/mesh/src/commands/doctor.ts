import { examine, type Finding, type FindingLevel, gatherFacts } from '@mesh/agent/doctor';
import { resolvePaths } from '@mesh/agent/paths';
import { ask } from '../control/port.ts';
import { socketDirs } from '../control/socket-dirs.ts';
import { CliError, EXIT } from '../errors.ts';
import type { Style } from '../render/style.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, ownUid, printJson, printOut, runningAgent, stdoutStyle } from './io.ts';

/** `mesh doctor`: what is wrong with the mesh on this machine, and how to mend it; exit code 1 if something is broken. */
export async function doctor(flags: CommonFlags & { json?: boolean }, version: string): Promise<void> {
  const agent = runningAgent(flags);
  const place = { uid: ownUid(), env: process.env, stateDir: flags.stateDir };
  const facts = await gatherFacts({
    commandVersion: version,
    stateDir: resolvePaths(place).stateDir,
    socketDirs: socketDirs(place),
    askAgent: async () => ({
      status: await ask(agent, { method: 'status' }),
      peers: await ask(agent, { method: 'peers' }),
      cache: await ask(agent, { method: 'cache-status' }),
      doctor: await ask(agent, { method: 'doctor' }),
    }),
  });
  const findings = examine(facts);
  if (flags.json) printJson({ version: 1, findings });
  else printOut(doctorText(findings, stdoutStyle()));
  if (findings.some(({ level }) => level === 'broken'))
    throw new CliError('MESH_UNWELL', EXIT.failure, '', { silent: true });
}

const MARKS: Record<FindingLevel, string> = {
  ok: 'ok',
  warning: 'warning',
  broken: 'BROKEN',
  skipped: 'skipped',
};
const MARK_WIDTH = Math.max(...Object.values(MARKS).map((mark) => mark.length));

/** A line for each finding, and one more below those that can be mended; the count at the end. */
export function doctorText(findings: readonly Finding[], style: Style): string {
  const lines = findings.flatMap(({ level, finding, mend }) => {
    const mark = MARKS[level].padEnd(MARK_WIDTH);
    const shown =
      level === 'broken'
        ? style.red(mark)
        : level === 'warning'
          ? style.yellow(mark)
          : level === 'ok'
            ? style.green(mark)
            : mark;
    const below = mend === undefined ? [] : [`${' '.repeat(MARK_WIDTH)}  -> ${safeLine(mend, false)}`];
    return [`${shown}  ${safeLine(finding, false)}`, ...below];
  });
  const count = (level: FindingLevel) => findings.filter((finding) => finding.level === level).length;
  const [broken, warnings] = [count('broken'), count('warning')];
  const verdict =
    broken + warnings === 0
      ? 'All is well.'
      : `${broken} broken, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}.`;
  return [...lines, '', verdict].join('\n');
}
