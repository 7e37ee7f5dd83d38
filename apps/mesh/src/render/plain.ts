import { eventLines } from './event-lines.ts';
import type { Renderer, RenderOptions } from './renderer.ts';
import { SparseProgress } from './sparse-progress.ts';
import type { Style } from './style.ts';

/** One line after another, for pipes, files and CI: `h2: building zlib-1.3`, `h2: built zlib-1.3 in 3.2 s`. */
export function createPlainRenderer(
  write: (text: string) => void,
  options: RenderOptions,
  style: Style,
): Renderer {
  const progress = new SparseProgress();
  return {
    event(event) {
      const lines = progress.isDue(event) ? eventLines(event, options, style) : [];
      if (lines.length > 0) write(`${lines.join('\n')}\n`);
    },
    note: (message) => write(`mesh: ${message}\n`),
    close: () => undefined,
  };
}
