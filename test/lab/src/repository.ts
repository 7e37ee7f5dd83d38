import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout this runs from: hosts see it read-only at the same path. The same from `src` and from `dist`. */
export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '../../..');
