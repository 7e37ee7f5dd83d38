import type { JobEvent } from '@mesh/wire';
import { TREE_MIN_INTERVAL_MS, TREE_TICK_MS } from '../constants.ts';
import { eventLines } from './event-lines.ts';
import { applyEvent, initialJobState } from './job-state.ts';
import type { Renderer, RenderOptions } from './renderer.ts';
import type { Style } from './style.ts';
import { visibleLength } from './text.ts';
import { type TreeSize, treeLines } from './tree-lines.ts';

/** The terminal as the tree needs it; `process.stderr` is one. */
export interface Terminal {
  write(text: string): void;
  size(): TreeSize;
  /** Calls back after every resize; returns how to stop. */
  onResize(listener: () => void): () => void;
}

/** Clock and timers, so that tests decide what time it is. */
export interface TreeClock {
  nowMs(): number;
  setTimeout(callback: () => void, ms: number): () => void;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

/** The systems' clock; its timers never keep the process alive. */
export const systemTreeClock: TreeClock = {
  nowMs: () => performance.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};

/**
 * The live tree: lines that last (failures, warnings, logs, the summary) scroll above it; the tree itself is repainted in
 * place on events, and for its clocks while something runs.
 */
export function createTreeRenderer(
  terminal: Terminal,
  options: RenderOptions,
  style: Style,
  clock: TreeClock = systemTreeClock,
): Renderer {
  const state = initialJobState();
  const startedMs = clock.nowMs();
  /** Time zero of the job by our clock: events carry the agent's milliseconds since then. */
  let jobStartMs = startedMs;
  let painted: string[] = [];
  let lastPaintMs = Number.NEGATIVE_INFINITY;
  let cancelTimer: (() => void) | undefined;
  let over = false;
  let closed = false;
  terminal.write(HIDE_CURSOR);
  const stopResize = terminal.onResize(() => paint([]));
  paint([]);

  function paint(above: readonly string[]): void {
    cancelTimer?.();
    cancelTimer = undefined;
    const lines = over ? [] : treeLines(state, clock.nowMs() - jobStartMs, terminal.size(), style);
    terminal.write(`${rewind()}${CLEAR_BELOW}${[...above, ...lines].map((line) => `${line}\n`).join('')}`);
    painted = lines;
    lastPaintMs = clock.nowMs();
    if (!over) cancelTimer = clock.setTimeout(() => paint([]), TREE_TICK_MS);
  }

  /** Back to the tree's first row; after a resize the terminal has wrapped lines that are now too long. */
  function rewind(): string {
    const { columns } = terminal.size();
    const rows = painted.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(visibleLength(line) / columns)),
      0,
    );
    return rows === 0 ? '\r' : `\u001b[${rows}F`;
  }

  function paintSoon(): void {
    const waitMs = lastPaintMs + TREE_MIN_INTERVAL_MS - clock.nowMs();
    cancelTimer?.();
    if (waitMs <= 0) paint([]);
    else cancelTimer = clock.setTimeout(() => paint([]), waitMs);
  }

  return {
    event(event) {
      if (closed) return;
      applyEvent(state, event);
      if (event.type === 'job-started') jobStartMs = clock.nowMs() - event.atMs;
      const lines = isLasting(event, options) ? eventLines(event, options, style) : [];
      if (event.type === 'job-finished') over = true;
      if (over || lines.length > 0) paint(lines);
      else if (event.type !== 'log') paintSoon();
    },
    note(message) {
      if (closed) return;
      paint([`mesh: ${message}`]);
    },
    close() {
      if (closed) return;
      closed = true;
      stopResize();
      cancelTimer?.();
      terminal.write(`${painted.length > 0 ? `${rewind()}${CLEAR_BELOW}` : ''}${SHOW_CURSOR}`);
    },
  };
}

/** What stays on the screen above the tree; the rest the tree itself shows. */
function isLasting(event: JobEvent, { verbose }: RenderOptions): boolean {
  switch (event.type) {
    case 'started':
    case 'race':
    case 'race-finished':
      return verbose;
    case 'result-fetch':
      return verbose && event.progress === undefined;
    case 'fetch-progress':
      return false;
    case 'finished':
      return verbose || event.outcome === 'failed';
    default:
      return true;
  }
}
