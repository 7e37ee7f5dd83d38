import type { Renderer } from './renderer.ts';

/** `--log-format json`: every event as it is, one JSON object a line, for programs that follow a build. */
export function createNdjsonRenderer(write: (text: string) => void): Renderer {
  return {
    event: (event) => write(`${JSON.stringify(event)}\n`),
    note: (message) => write(`${JSON.stringify({ type: 'message', message })}\n`),
    close: () => undefined,
  };
}
