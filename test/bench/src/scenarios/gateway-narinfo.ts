import { join } from 'node:path';
import { repositoryRoot } from '@mesh/lab';
import { ClosureLab } from '../closure-lab.ts';
import { figure } from '../figure.ts';
import { makeSmallClosure } from '../made-paths.ts';
import { median, significant } from '../statistics.ts';
import type { Scenario } from './scenario.ts';

const PATHS = 1_000;
const REQUIRED_MS = 1;
const GATEWAY = 'http://127.0.0.1:4749';
const NODE = join(repositoryRoot, 'node_modules/.bin/node');

/** Asks for every narinfo twice on one connection, and prints the milliseconds of each. Arguments: URL. Input: hash parts. */
const CLIENT = `
import { request, Agent } from 'node:http';
import { text } from 'node:stream/consumers';
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const get = (url) => new Promise((resolve, reject) => request(url, { agent }, async (response) => {
  const body = await text(response);
  if (response.statusCode === 200) resolve(body); else reject(new Error(url + ': ' + response.statusCode));
}).on('error', reject).end());
const hashes = (await text(process.stdin)).trim().split('\\n');
const rounds = [];
for (const _ of [0, 1]) {
  const times = [];
  for (const hash of hashes) {
    const started = performance.now();
    await get(process.argv[1] + '/' + hash + '.narinfo');
    times.push(performance.now() - started);
  }
  rounds.push(times);
}
console.log(JSON.stringify(rounds));
agent.destroy();
`;

/** What the gateway of a machine tells about paths that another member has. */
export const gatewayNarinfo: Scenario = {
  name: 'gateway-narinfo',
  shape: 'own',
  title: `${PATHS} narinfos from the gateway, one after another`,
  async measure({ told }) {
    await using lab = await ClosureLab.up(2);
    const { paths } = await makeSmallClosure(lab.source, PATHS, 4_096);
    const input = paths.map((path) => path.slice('/nix/store/'.length, '/nix/store/'.length + 32)).join('\n');
    const command = [NODE, '--input-type=module', '-e', CLIENT, GATEWAY];
    const { stdout } = await lab.lab.host('h2').exec(command, { input });
    const [first, known] = JSON.parse(stdout) as [number[], number[]];
    const slowest = (times: readonly number[]) =>
      significant(times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!);
    told('all of them, first', first.reduce((sum, ms) => sum + ms, 0) / 1000);
    told('all of them, again', known.reduce((sum, ms) => sum + ms, 0) / 1000);
    return [
      figure(
        'gateway-narinfo',
        `a narinfo that is known, median; 99 % within ${slowest(known)} ms`,
        'ms',
        [median(known)],
        {
          required: REQUIRED_MS,
        },
      ),
      figure(
        'gateway-narinfo-first',
        `a narinfo of another member, median; 99 % within ${slowest(first)} ms`,
        'ms',
        [median(first)],
      ),
    ];
  },
};
