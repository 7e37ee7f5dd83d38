import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { SPOOL_RESERVE_BYTES } from './limits.ts';

/** A file without a name for the pieces of one NAR: it is gone with this process, whatever happens. */
export class Spool {
  readonly #file: FileHandle;
  /** Reads and writes under way: closing waits for them. */
  readonly #underWay = new Set<Promise<unknown>>();

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Throws the file system's error; undefined where the disk has too little room for so many bytes. */
  static async create(directory: string, bytes: number): Promise<Spool | undefined> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize < bytes + SPOOL_RESERVE_BYTES) return undefined;
    const path = join(directory, `nar-${randomBytes(8).toString('hex')}`);
    const file = await open(path, 'wx+', 0o600);
    try {
      await rm(path);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new Spool(file);
  }

  /** Throws the file system's error, ENOSPC for one. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const writing = this.#file.write(bytes, done, bytes.length - done, offset + done);
      done += (await this.#track(writing)).bytesWritten;
    }
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    for (let done = 0; done < bytes; ) {
      const { bytesRead } = await this.#track(this.#file.read(buffer, done, bytes - done, offset + done));
      if (bytesRead === 0) throw new Error('The spool is shorter than what was written to it.');
      done += bytesRead;
    }
    return buffer;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.#file.close();
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }
}
