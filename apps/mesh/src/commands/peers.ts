import type { ControlResult, PeerView, StrangerView } from '@mesh/wire';
import { ask } from '../control/port.ts';
import { formatAgo } from '../durations.ts';
import type { Style } from '../render/style.ts';
import { formatTable } from '../render/table.ts';
import { formatBytes, safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printOut, runningAgent, stdoutStyle } from './io.ts';

/** Variants that Nix derives from the native system by itself; the table is wide enough without them. */
const MICROARCHITECTURE = /^x86_64-v\d-linux$/;

/** `mesh peers`: who belongs to this mesh, what each can do and does, and who else was seen. */
export async function peers(flags: CommonFlags & { json?: boolean }): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'peers' });
  if (flags.json) printJson(value);
  else printOut(peersText(value, Date.now(), stdoutStyle()));
}

/** The listing for people. `nowMs` is Unix time. */
export function peersText(value: ControlResult<'peers'>, nowMs: number, style: Style): string {
  const members = value.members.toSorted(
    (a, b) => Number(b.self) - Number(a.self) || a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
  // Most meshes have none.
  const tagged = members.some(({ tags }) => tags !== undefined && tags.length > 0);
  const lines = formatTable(
    [
      { title: 'NAME' },
      { title: 'STATE' },
      { title: 'SYSTEMS' },
      { title: 'FEATURES' },
      ...(tagged ? [{ title: 'TAGS' }] : []),
      { title: 'CORES', align: 'right' },
      { title: 'SLOTS', align: 'right' },
      { title: 'LOAD', align: 'right' },
      { title: 'FREE MEMORY', align: 'right' },
      { title: 'NIX' },
      { title: 'LAST SEEN' },
    ],
    members.map((member) => memberRow(member, tagged, nowMs, style)),
  );
  const closed = members.filter((member) => member.closed !== undefined);
  if (closed.length > 0) {
    lines.push('', 'Take no builds of others now:');
    lines.push(...closed.map((member) => `  ${safeLine(`${member.name}: ${member.closed}`, false)}`));
  }
  const faulty = members.filter((member) => member.fault !== undefined);
  if (faulty.length > 0) {
    lines.push('', 'Cannot be reached from this machine:');
    lines.push(...faulty.map((member) => `  ${safeLine(`${member.name}: ${member.fault}`, false)}`));
  }
  lines.push(...builderLines(value, style));
  if (value.strangers.length > 0) {
    lines.push('', 'Not members of this mesh (add one: `mesh invite` here, `mesh join` there):');
    lines.push(...value.strangers.map((stranger) => `  ${strangerText(stranger, nowMs)}`));
  }
  return lines.join('\n');
}

/** Machines that build for this one alone, over SSH, and what is wrong with them. */
function builderLines(
  { builders = [], builderTroubles = [] }: ControlResult<'peers'>,
  style: Style,
): string[] {
  const lines: string[] = [];
  if (builders.length > 0) {
    lines.push('', 'Builders without an agent (docs/agentless.md):');
    lines.push(
      ...formatTable(
        [
          { title: '  NAME' },
          { title: 'STATE' },
          { title: 'SYSTEMS' },
          { title: 'FEATURES' },
          { title: 'SLOTS', align: 'right' },
          { title: 'NIX' },
        ],
        builders.map(
          ({ name, state, systems, systemFeatures, mandatoryFeatures, running, slots, nixVersion }) => [
            safeLine(`  ${name}`, false),
            state === 'up' ? style.green(state) : state === 'resting' ? style.yellow(state) : state,
            list(systems),
            list([...systemFeatures, ...mandatoryFeatures.map((feature) => `${feature}(required)`)]),
            `${running}/${slots}`,
            safeLine(nixVersion ?? '-', false),
          ],
        ),
      ),
    );
  }
  const troubles = builders.flatMap(({ name, trouble }) =>
    trouble === undefined ? [] : [`${name}: ${trouble}`],
  );
  lines.push(...[...troubles, ...builderTroubles].map((trouble) => `  ${safeLine(trouble, false)}`));
  return lines;
}

function memberRow(member: PeerView, tagged: boolean, nowMs: number, style: Style): string[] {
  const { load } = member;
  const state = member.self ? 'this' : member.connected ? style.green('up') : style.yellow('down');
  return [
    safeLine(member.name, false),
    state,
    list(
      member.systems
        .filter((system) => !MICROARCHITECTURE.test(system))
        .map((system) => (member.emulated?.[system] === undefined ? system : `${system}(emulated)`)),
    ),
    list(member.systemFeatures),
    ...(tagged ? [list(member.tags ?? [])] : []),
    number(member.cores),
    load === null || member.slots === null ? number(member.slots) : `${load.running}/${member.slots}`,
    load === null ? '-' : load.loadAverage.toFixed(1),
    load === null ? '-' : formatBytes(load.memoryAvailableBytes),
    safeLine(member.nixVersion ?? '-', false),
    member.self || member.connected ? 'now' : seen(member.lastSeen, nowMs),
  ];
}

function strangerText(stranger: StrangerView, nowMs: number): string {
  return safeLine(
    `${stranger.peerId}  ${list(stranger.addresses)}  ${seen(stranger.lastSeen, nowMs)}`,
    false,
  );
}

function list(values: readonly string[]): string {
  return values.length === 0 ? '-' : safeLine(values.join(','), false);
}

function number(value: number | null): string {
  return value === null ? '-' : String(value);
}

function seen(time: string | null, nowMs: number): string {
  const ms = time === null ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) ? 'never' : formatAgo(nowMs - ms);
}
