import { formatDuration } from '../durations.ts';
import { fetchText } from './fetch-text.ts';
import type { JobState, RunningBuild, RunningFetch } from './job-state.ts';
import type { Style } from './style.ts';
import { fitLine, formatBytes, plural, safeLine } from './text.ts';

export interface TreeSize {
  columns: number;
  rows: number;
}

/** Leaves room for the prompt and one line of what came before. */
const ROWS_KEPT_FREE = 2;

/** The live tree as lines that fit the terminal: a head with the counts, then machines with what each has in hand. Pure. */
export function treeLines(state: JobState, nowMs: number, size: TreeSize, style: Style): string[] {
  const maxLines = Math.max(1, size.rows - ROWS_KEPT_FREE);
  const body = bodyLines(state, nowMs, style);
  const lines = [headLine(state, nowMs, style), ...body];
  const shown =
    lines.length <= maxLines
      ? lines
      : [...lines.slice(0, Math.max(1, maxLines - 1)), style.dim(`… ${lines.length - maxLines + 1} more`)];
  return shown.slice(0, maxLines).map((line) => fitLine(line, size.columns - 1));
}

function headLine(state: JobState, nowMs: number, style: Style): string {
  const took = style.dim(formatDuration(nowMs));
  if (!state.planned && state.running.size === 0) return `${style.bold('evaluating')}  ${took}`;
  const building = [...state.running.values()].filter((build) => build.step === 'building').length;
  const counts = [
    `${style.green(String(state.built))}/${state.toBuild} built`,
    `${building} building`,
    ...(state.running.size > building ? [`${state.running.size - building} preparing`] : []),
    ...(state.failed > 0 ? [style.red(`${state.failed} failed`)] : []),
    ...(state.skipped > 0 ? [`${state.skipped} not tried`] : []),
    ...(state.resultFetch ? [`fetching the result: ${comingText(state.resultFetch, nowMs)}`] : []),
  ];
  return `${style.bold('mesh')} ${counts.join(', ')}  ${took}`;
}

function bodyLines(state: JobState, nowMs: number, style: Style): string[] {
  const byPeer = Map.groupBy(state.running.values(), (build) => build.peer);
  const lines: string[] = [];
  const peers = [...state.peers].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  for (const [i, [peer, { up, built }]] of peers.entries()) {
    const last = i === peers.length - 1;
    const builds = (byPeer.get(peer) ?? []).toSorted((a, b) => a.sinceMs - b.sinceMs);
    const note = up ? style.dim(`${built} built`) : style.yellow('gone');
    lines.push(`${last ? '└─' : '├─'} ${style.bold(safeLine(peer, false))}  ${note}`);
    for (const [j, build] of builds.entries()) {
      const branch = j === builds.length - 1 ? '└─' : '├─';
      lines.push(`${last ? ' ' : '│'}  ${branch} ${buildText(build, nowMs, style)}`);
    }
  }
  return lines;
}

function buildText(build: RunningBuild, nowMs: number, style: Style): string {
  const elapsed = style.dim(formatDuration(nowMs - build.sinceMs));
  const against = build.racing === undefined ? '' : style.dim(`  racing ${safeLine(build.racing, false)}`);
  const name = `${safeLine(build.name, false)}${against}`;
  switch (build.step) {
    case 'building':
      return `${name}  ${build.phase ? `${style.dim(safeLine(build.phase, false))}  ` : ''}${elapsed}`;
    case 'fetching': {
      const coming = build.fetch === undefined ? '' : ` ${comingText(build.fetch, nowMs)}`;
      return `${name}  ${style.yellow(`fetching${coming}`)}  ${elapsed}`;
    }
    case 'leased':
      return `${style.dim(name)}  ${style.dim('waiting')}`;
  }
}

/** What is coming; how far it is as soon as that is known. */
function comingText({ paths, bytes, progress, saidMs }: RunningFetch, nowMs: number): string {
  if (progress !== undefined) return fetchText(progress, nowMs - saidMs);
  return `${plural(paths, 'path')}, ${formatBytes(bytes)}`;
}
