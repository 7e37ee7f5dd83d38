import { figure } from '../figure.ts';
import { makeLargePath } from '../made-paths.ts';
import { beside, copyByAll } from './closure-copy.ts';
import type { Scenario } from './scenario.ts';

const MIB = 1024;
/** 1.6 times as fast. */
const REQUIRED_TIME = 1 / 1.6;
const REQUIRED_PROCESSOR = 0.7;
const REQUIRED_MEMORY_MIB = 100;

/** One large path from one host to another: what the wire, the hash and the store cost. */
export const closureLarge: Scenario = {
  name: 'closure-large',
  shape: 'own',
  title: `one path of ${MIB} MiB from one host to another`,
  async measure(bench) {
    const copied = await copyByAll(bench, async (source) => {
      const root = await makeLargePath([source], MIB);
      return { root, paths: [root] };
    });
    const title = `a path of ${MIB} MiB`;
    return [
      ...beside('closure-large', title, copied, ({ seconds }) => seconds, { required: REQUIRED_TIME }),
      ...beside('closure-large-cpu', `${title}, processor time`, copied, ({ processor }) => processor, {
        required: REQUIRED_PROCESSOR,
      }),
      figure('closure-large-memory', `${title}, memory above idle`, 'MiB', copied.memory, {
        required: REQUIRED_MEMORY_MIB,
      }),
    ];
  },
};
