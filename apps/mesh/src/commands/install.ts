import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connectSsh, resolveTarget, type SshTarget } from '@mesh/ssh';
import {
  type HostOutcome,
  installHost,
  type MeshSide,
  PARALLEL_HOSTS,
  ReleaseSource,
  readBundle,
  type ServiceChoice,
  type StepLine,
  uninstallHost,
} from '@mesh/ssh/install';
import { ask } from '../control/port.ts';
import { CliError, EXIT, reportError, usageError } from '../errors.ts';
import { formatTable } from '../render/table.ts';
import { safeLine } from '../render/text.ts';
import { askSecret, confirmHostKeys } from './install-questions.ts';
import { parseRoles, parseTtl } from './invite.ts';
import { type CommonFlags, printJson, printNote, printOut, runningAgent } from './io.ts';

/** The options of `mesh install` as commander hands them over. */
export interface InstallFlags extends CommonFlags {
  hostKey?: string;
  identity?: string;
  roles: string;
  service: boolean;
  supervise?: boolean;
  uninstall?: boolean;
  keepState?: boolean;
  force?: boolean;
  askSudoPassword?: boolean;
  bundle: string[];
  json?: boolean;
}

/** How it went on one machine. */
interface HostReport {
  host: string;
  result: HostOutcome['result'] | 'failed';
  member?: string;
  configuration?: string;
  /** One sentence. */
  error?: string;
  seconds: number;
}

/** Long enough for a slow machine to start its agent; the ticket goes nowhere but through the SSH connection. */
const TICKET_TTL = '10m';
/** The longest name of a step, so that their texts stand below each other. */
const STEP_WIDTH = 8;

/** The tree this command runs from: a checkout, an installed mesh, or a path of the store. */
const root = fileURLToPath(new URL('../../../../', import.meta.url)).replace(/\/$/, '');

/** `mesh install USER@HOST …`: a line a step and machine on stderr, one table on stdout; exit code 1 if any failed. */
export async function install(hosts: readonly string[], flags: InstallFlags): Promise<void> {
  checkFlags(hosts, flags);
  const targets = withConfirmation(hosts.map((host) => resolveTarget(host, overrides(flags))));
  const password = flags.askSudoPassword ? await askSecret('Password for sudo there: ') : undefined;
  const mesh = await meshSide(flags);
  await using releases = new ReleaseSource(root, await Promise.all(flags.bundle.map(readBundle)));
  const width = Math.max(...hosts.map((host) => host.length));
  const service: ServiceChoice = flags.supervise ? 'supervise' : flags.service ? 'manager' : 'none';
  const means = {
    service,
    sudoPassword: password !== undefined,
    ...(password === undefined ? {} : { password }),
  };

  const one = async (target: SshTarget, host: string): Promise<HostReport> => {
    const began = performance.now();
    const line = (step: string, text: string) =>
      printNote(safeLine(`${host.padEnd(width)}  ${step.padEnd(STEP_WIDTH)}  ${text}`, false));
    const run = {
      connect: () => connectSsh(target, { warn: (sentence: string) => line('warning', sentence) }),
      mesh: mesh.side,
      means,
      onStep: ({ step, text, ms }: StepLine) =>
        line(step, ms < 100 ? text : `${text} (${(ms / 1000).toFixed(1)} s)`),
    };
    try {
      const outcome = flags.uninstall
        ? await uninstallHost({ ...run, keepState: flags.keepState ?? false })
        : await installHost({
            ...run,
            releases,
            units: serviceFiles(),
            force: flags.force ?? false,
            peerAddresses: mesh.addresses,
          });
      return { host, ...outcome, seconds: secondsSince(began) };
    } catch (error) {
      const { text } = reportError(error, flags.verbose ?? false);
      const sentence = (text ?? '').replace(/^mesh: error: /, '');
      line('failed', sentence);
      return { host, result: 'failed', error: sentence, seconds: secondsSince(began) };
    }
  };

  const reports = await pooled(targets, PARALLEL_HOSTS, (target, i) => one(target, hosts[i]!));
  if (flags.json) printJson({ version: 1, hosts: reports });
  else printOut(summaryText(reports));
  if (reports.some(({ result }) => result === 'failed'))
    throw new CliError('INSTALL_FAILED', EXIT.failure, '', { silent: true });
}

/** One row a machine; then what the owners of NixOS machines have to add. */
export function summaryText(reports: readonly HostReport[]): string {
  const rows = reports.map(({ host, result, member, error, seconds }) => [
    safeLine(host, false),
    result,
    safeLine(member ?? '-', false),
    `${seconds.toFixed(1)} s`,
    safeLine(error ?? '', false),
  ]);
  const table = formatTable(
    [
      { title: 'HOST' },
      { title: 'RESULT' },
      { title: 'MEMBER' },
      { title: 'TIME', align: 'right' },
      { title: '' },
    ],
    rows,
  );
  const nixos = reports.filter(({ configuration }) => configuration !== undefined);
  const hints = nixos.flatMap(({ host, configuration }) => [
    '',
    `Add to the configuration of ${host}:`,
    configuration!,
  ]);
  return [...table, ...hints].join('\n');
}

function checkFlags(hosts: readonly string[], flags: InstallFlags): void {
  if (new Set(hosts).size < hosts.length) throw usageError('A machine is named twice; name each once.');
  if (flags.hostKey !== undefined && hosts.length > 1)
    throw usageError('--host-key is of one machine; install the others in another run.');
  if (flags.supervise && !flags.service) throw usageError('--supervise and --no-service exclude each other.');
  if (flags.keepState && !flags.uninstall) throw usageError('--keep-state goes with --uninstall.');
  parseRoles(flags.roles);
}

function overrides({ hostKey, identity }: InstallFlags) {
  return {
    ...(identity === undefined ? {} : { identityFile: identity }),
    ...(hostKey === undefined ? {} : { pinnedHostKey: hostKey }),
  };
}

/** Unknown keys are asked for on a terminal. */
function withConfirmation(targets: readonly SshTarget[]): readonly SshTarget[] {
  if (!process.stdin.isTTY) return targets;
  const confirmUnknownHost = confirmHostKeys();
  return targets.map((target) => ({ ...target, confirmUnknownHost }));
}

function serviceFiles() {
  const read = (path: string) => readFileSync(`${root}/packaging/${path}`, 'utf8');
  return { systemd: read('systemd/mesh.service'), launchd: read('launchd/org.mesh.agent.plist') };
}

/** The mesh of the agent on this machine. */
async function meshSide(flags: InstallFlags): Promise<{ side: MeshSide; addresses: string[] }> {
  const agent = runningAgent(flags);
  const { meshId, addresses } = flags.uninstall
    ? { meshId: '', addresses: [] }
    : await ask(agent, { method: 'status' });
  const side: MeshSide = {
    meshId,
    async invite() {
      const request = { ttlMs: parseTtl(TICKET_TTL), roles: parseRoles(flags.roles) };
      return (await ask(agent, { method: 'invite', ...request })).ticket;
    },
    async connectedAs(peerId) {
      const { members } = await ask(agent, { method: 'peers' });
      return members.find((member) => member.peerId === peerId && member.connected)?.name;
    },
    async remove(peerId) {
      try {
        await ask(agent, { method: 'remove', peer: peerId });
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (code === 'PEER_UNKNOWN') return;
        if (code !== 'MESH_NO_AGENT') throw error;
        printNote(
          'No agent runs here: `mesh remove` on a machine of the mesh takes the member out of its list.',
        );
      }
    },
  };
  return { side, addresses };
}

/** Maps with so many at a time. */
async function pooled<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T, i: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!, i);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

function secondsSince(beganMs: number): number {
  return (performance.now() - beganMs) / 1000;
}
