import { statSync } from 'node:fs';

/** Tells when files were edited, replaced, made or removed since they were read; what symbolic links lead to counts. */
export class FileMarks {
  readonly #marks = new Map<string, string>();

  /** Call before reading it: what changes afterwards is noticed. */
  remember(path: string): void {
    this.#marks.set(path, markOf(path));
  }

  forgetAll(): void {
    this.#marks.clear();
  }

  get haveChanged(): boolean {
    return [...this.#marks].some(([path, mark]) => markOf(path) !== mark);
  }
}

function markOf(path: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
  } catch (error) {
    // Absent, or not to be read: either way it says nothing, until this changes.
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}
