import { readFileSync } from 'node:fs';

/** The name of a user of this machine, or `uid 1000` where /etc/passwd does not have it. For people: no rights follow from it. */
export function userName(uid: number): string {
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const [name, , id] = line.split(':');
      if (id === String(uid) && name !== undefined && name !== '') return name;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return `uid ${uid}`;
}
