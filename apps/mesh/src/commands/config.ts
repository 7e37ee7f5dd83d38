import {
  ConfigFile,
  type ConfigLayer,
  configKeys,
  configSchema,
  type JsonObject,
  type Key,
  type KeySchema,
  layerOf,
  leafKeys,
  MACHINE_CONFIG_DIR,
  noSuchKey,
  readLayers,
  schemaAt,
  valueFromText,
  withValueAt,
} from '@mesh/agent/config';
import { resolvePaths } from '@mesh/agent/paths';
import { ask } from '../control/port.ts';
import { createSocketPort } from '../control/socket-port.ts';
import { CliError, EXIT, usageError } from '../errors.ts';
import { formatTable } from '../render/table.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, ownUid, printJson, printNote, printOut } from './io.ts';

/** Options of every `mesh config …`. */
export interface ConfigFlags extends CommonFlags {
  /** The file of the machine's agent, whoever runs the command. */
  system?: boolean;
  /** The file of the user's own agent. */
  user?: boolean;
  json?: boolean;
}

/** Any user that is not root: what `--user` means to `resolvePaths`. */
const SOME_USER = 1;

/** Where the agent that the flags mean has its state, and its sockets. @throws CliError for flags that contradict each other */
export function meantAgent(flags: ConfigFlags): { stateDir: string; socketDir: string } {
  const given = [flags.system === true, flags.user === true, flags.stateDir !== undefined];
  if (given.filter(Boolean).length > 1) {
    throw usageError('Give one of --system, --user and --state-dir: each names another file.');
  }
  if (flags.system) return resolvePaths({ uid: 0, env: {} });
  const { MESH_STATE_DIR: _, ...env } = process.env;
  if (flags.user) return resolvePaths({ uid: ownUid() === 0 ? SOME_USER : ownUid(), env });
  return resolvePaths({ uid: ownUid(), env: process.env, stateDir: flags.stateDir });
}

/** `mesh config get KEY`: the value in force, of a key or of a section; exit code 1 where there is none. */
export function configGet(path: string, flags: ConfigFlags): void {
  const schema = existing(path);
  const layers = layersOf(flags);
  const value =
    schema.properties === undefined
      ? inForce({ path, schema }, layers).value
      : leafKeys(schema.properties, `${path}.`).reduce<JsonObject>(
          (all, key) => withValueAt(all, key.path.slice(path.length + 1), inForce(key, layers).value),
          {},
        );
  if (value === undefined) {
    const without = schema.without === undefined ? '' : ` (without it: ${schema.without})`;
    throw new CliError(
      'MESH_CONFIG_UNSET',
      EXIT.failure,
      `${path} is not set${without}; \`mesh config set\` sets it.`,
    );
  }
  if (flags.json || typeof value !== 'string') printOut(JSON.stringify(value));
  else printOut(safeLine(value, false));
}

/** `mesh config list`: every key, its value in force, and where that comes from. */
export function configList(flags: ConfigFlags): void {
  const layers = layersOf(flags);
  const rows = leafKeys(configKeys).map((key) => ({ key: key.path, ...inForce(key, layers) }));
  if (flags.json) {
    printJson(rows.map(({ key, value = null, from, detected }) => ({ key, value, from, detected })));
    return;
  }
  const columns = [{ title: 'key' }, { title: 'value' }, { title: 'from' }];
  const cells = rows.map(({ key, value, from, detected }) => [
    key,
    value === undefined
      ? detected === undefined
        ? '-'
        : `(${detected})`
      : safeLine(JSON.stringify(value), false),
    safeLine(from, false),
  ]);
  printOut(formatTable(columns, cells).join('\n'));
}

/** `mesh config set KEY VALUE…`: several values make a list. Checked before anything is written. */
export async function configSet(path: string, texts: string[], flags: ConfigFlags): Promise<void> {
  const schema = existing(path);
  if (schema.properties !== undefined) {
    throw usageError(
      `${path} is a section: set one of its keys, ${Object.keys(schema.properties).join(', ')}.`,
    );
  }
  if (texts.length > 1 && schema.type !== 'array') {
    throw usageError(`${path} takes one value; quote it where it has spaces in it.`);
  }
  const text = texts.length > 1 ? texts.join(schema.separator ?? ',') : (texts[0] ?? '');
  const value = valueFromText(path, schema, text, 'The configuration stays as it was');
  await change(path, value, flags);
}

/** `mesh config unset KEY`: what lies under it is in force again. */
export async function configUnset(path: string, flags: ConfigFlags): Promise<void> {
  existing(path);
  await change(path, undefined, flags);
}

/** `mesh config schema`: for editors that check and complete by JSON Schema. */
export function configSchemaText(): void {
  printJson(configSchema);
}

/** Says what a change of the file means for an agent that runs. */
export async function tellRunningAgent(socketDir: string): Promise<void> {
  try {
    await ask(createSocketPort([socketDir]), { method: 'status' });
  } catch (error) {
    if (error instanceof CliError && error.code === 'MESH_NO_AGENT') return;
    // Another user's, or of another version: it runs, which is all that matters here.
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
  printNote('the agent that runs takes it when it is restarted');
}

async function change(path: string, value: unknown, flags: ConfigFlags): Promise<void> {
  const { stateDir, socketDir } = meantAgent(flags);
  const file = new ConfigFile(stateDir);
  file.write(withValueAt(file.read(), path, value));
  const now = value === undefined ? `${path} is not set` : `${path} = ${JSON.stringify(value)}`;
  printNote(safeLine(`${now} in ${file.path}`, false));
  const decides = layerOf(path, layersOf(flags));
  if (decides !== undefined && decides.layer.kind !== 'own') {
    const place = decides.layer.place(path);
    printNote(safeLine(`in force is ${JSON.stringify(decides.value)}, from ${place}`, false));
  }
  await tellRunningAgent(socketDir);
}

function existing(path: string): KeySchema {
  const schema = schemaAt(configKeys, path);
  if (schema === undefined) {
    const clause = noSuchKey(path);
    throw usageError(
      `${clause[0]?.toUpperCase()}${clause.slice(1)}${clause.endsWith('?') ? '' : '; `mesh config list` has them all.'}`,
    );
  }
  return schema;
}

function layersOf(flags: ConfigFlags): ConfigLayer[] {
  const { stateDir } = meantAgent(flags);
  return readLayers({ stateDir, machineDir: MACHINE_CONFIG_DIR, env: process.env });
}

/** The value that decides, and who says so; a default's `detected` tells what it is where it has no value. */
function inForce(
  { path, schema }: Key,
  layers: readonly ConfigLayer[],
): { value: unknown; from: string; detected?: string } {
  const decides = layerOf(path, layers);
  if (decides !== undefined) return { value: decides.value, from: decides.layer.place(path) };
  return {
    value: schema.default,
    from: 'default',
    ...(schema.without === undefined ? {} : { detected: schema.without }),
  };
}
