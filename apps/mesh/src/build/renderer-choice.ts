import { createNdjsonRenderer } from '../render/ndjson.ts';
import { createPlainRenderer } from '../render/plain.ts';
import type { Renderer, RenderOptions } from '../render/renderer.ts';
import { createStyle, wantsColour } from '../render/style.ts';
import { createTreeRenderer, type Terminal } from '../render/tree.ts';
import type { LogFormat } from './options.ts';

/** A stream that may be a terminal; `process.stderr` is one. */
export interface OutputStream {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** The renderer for a stream: a live tree on a terminal that can do it, lines elsewhere, unless a format is asked for. */
export function chooseRenderer(
  format: LogFormat,
  stream: OutputStream,
  env: Record<string, string | undefined>,
  options: RenderOptions,
): Renderer {
  const write = (text: string) => {
    stream.write(text);
  };
  const style = createStyle(wantsColour(stream, env));
  const live = stream.isTTY === true && env.TERM !== 'dumb';
  if (format === 'json') return createNdjsonRenderer(write);
  if (format === 'plain' || !live) return createPlainRenderer(write, options, style);
  return createTreeRenderer(terminalOf(stream), options, style);
}

function terminalOf(stream: OutputStream): Terminal {
  return {
    write: (text) => {
      stream.write(text);
    },
    size: () => ({ columns: stream.columns ?? 80, rows: stream.rows ?? 24 }),
    onResize(listener) {
      stream.on('resize', listener);
      return () => stream.off('resize', listener);
    },
  };
}
