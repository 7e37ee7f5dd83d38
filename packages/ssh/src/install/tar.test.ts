import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TarEntry, tarStream } from './tar.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-tar-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const unpack = (entries: readonly TarEntry[]) =>
  execFileSync('tar', ['-xf', '-', '-C', dir], { input: Buffer.concat([...tarStream(entries)]) });

describe('an archive of ours', () => {
  it('is unpacked by tar as it was: contents, modes, links', () => {
    unpack([
      { type: 'file', path: 'bin/run', executable: true, content: Buffer.from('#!/bin/sh\n') },
      { type: 'file', path: 'empty', executable: false, content: Buffer.alloc(0) },
      { type: 'link', path: 'current', target: 'bin/run' },
    ]);
    expect(statSync(join(dir, 'bin/run')).mode & 0o777).toBe(0o755);
    expect(statSync(join(dir, 'empty')).size).toBe(0);
    expect(readlinkSync(join(dir, 'current'))).toBe('bin/run');
  });

  it('holds paths of any length and contents of any size', () => {
    const segment = fc.stringMatching(/^[a-zé]{1,60}$/);
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 5 }),
        fc.uint8Array({ maxLength: 1500 }),
        (path, content) => {
          unpack([{ type: 'file', path: path.join('/'), executable: false, content }]);
          expect(readFileSync(join(dir, ...path))).toEqual(Buffer.from(content));
          rmSync(join(dir, path[0]!), { recursive: true });
        },
      ),
      { numRuns: 40 },
    );
  });
});
