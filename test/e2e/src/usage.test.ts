import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Host, Lab, LabMesh, requireLab, until } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workload } from './workload.ts';

const MIB = 1024 ** 2;

interface Row {
  wall_ms: number;
  cpu_ms: number | null;
  memory_bytes: number | null;
}

/** What the history of a host holds of builds of a name; it is written some time after them. */
function remembered(host: Host, name: string): Promise<Row> {
  return until(`what ${host.name} remembers of ${name}`, 30_000, () => {
    const copy = mkdtempSync(join(tmpdir(), 'mesh-history-'));
    try {
      // SQLite wants a path of its own machine: a copy of the database and of its log.
      for (const file of ['history.sqlite', 'history.sqlite-wal']) {
        const original = `${host.root}/var/lib/mesh/${file}`;
        if (existsSync(original)) copyFileSync(original, join(copy, file));
      }
      using database = new DatabaseSync(join(copy, 'history.sqlite'));
      const hasTable = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'builds'").get();
      if (hasTable === undefined) return undefined;
      const query = database.prepare('SELECT wall_ms, cpu_ms, memory_bytes FROM builds WHERE name = ?');
      return query.get(name) as Row | undefined;
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
}

describe.skipIf(requireLab(['sid']))('what a build uses', () => {
  let lab: Lab;
  let home: Host;
  let worker: Host;
  let mesh: LabMesh;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 2 });
    [home, worker] = lab.hosts as [Host, Host];
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  test('is measured where it runs, and remembered at home', async () => {
    const { code, stderr } = await mesh.build(home, workload('usage', '--on', worker.name));
    expect(code, stderr).toBe(0);
    const { wall_ms, cpu_ms, memory_bytes } = await remembered(home, 'usage');
    expect(memory_bytes).toBeGreaterThan(200 * MIB);
    expect(memory_bytes).toBeLessThan(260 * MIB);
    // It hashes 300 MB and counts to 300,000: some tenths of a second on a very fast machine, and never more than two processors.
    expect(cpu_ms).toBeGreaterThan(300);
    expect(cpu_ms).toBeLessThan(2 * wall_ms);
  });
});
