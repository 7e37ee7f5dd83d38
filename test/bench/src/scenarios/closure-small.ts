import { makeSmallClosure } from '../made-paths.ts';
import { beside, copyByAll } from './closure-copy.ts';
import type { Scenario } from './scenario.ts';

const PATHS = 1_000;
const BYTES = 4_096;
/** 3 times as fast. */
const REQUIRED_TIME = 1 / 3;

/** Many small paths from one host to another: what each path costs, and what starting costs. */
export const closureSmall: Scenario = {
  name: 'closure-small',
  shape: 'own',
  title: `${PATHS} paths of ${BYTES} bytes from one host to another`,
  async measure(bench) {
    const copied = await copyByAll(bench, (source) => makeSmallClosure(source, PATHS, BYTES));
    const title = `${PATHS} paths of ${BYTES} bytes`;
    return [
      ...beside('closure-small', title, copied, ({ seconds }) => seconds, { required: REQUIRED_TIME }),
      ...beside('closure-small-cpu', `${title}, processor time`, copied, ({ processor }) => processor, {}),
    ];
  },
};
