import { isAscii } from 'node:buffer';
import { AtermReader, printedBytes, printString, printStrings } from './aterm.ts';
import { quote } from './errors.ts';
import { isDerivationPath, isStorePath } from './store-path.ts';

/** One output as the `.drv` has it; an absent part is the empty string. */
export interface DerivationOutput {
  /** Full store path; '' for outputs whose path is known only after the build. */
  readonly path: string;
  /** `sha256`, `r:sha256`, `text:sha256`, …; '' for input-addressed outputs. */
  readonly hashAlgo: string;
  /** Base-16 hash of a fixed output, `impure` for an impure one, else ''. */
  readonly hash: string;
}

/** Outputs wanted of a derivation that is itself an output of another one (`xp-dyn-drv`). */
export interface DynamicInput {
  readonly outputs: readonly string[];
  readonly dynamic: ReadonlyMap<string, DynamicInput>;
  /** Whether the node was written as `([…],[…])`, which only the printer cares about. */
  readonly nested: boolean;
}

/**
 * A `.drv` file. Maps keep the file's order, so printing gives the file's bytes back. Strings hold bytes that are
 * not UTF-8 as lone surrogates (byte-text.ts).
 */
export interface Derivation {
  readonly outputs: Map<string, DerivationOutput>;
  /** Path of an input `.drv` → names of the outputs used. */
  readonly inputDrvs: Map<string, string[]>;
  /** Only in `DrvWithVersion("xp-dyn-drv", …)`: input `.drv` → what is used of the derivations it makes. */
  readonly dynamicInputs?: Map<string, ReadonlyMap<string, DynamicInput>>;
  readonly inputSrcs: string[];
  readonly system: string;
  readonly builder: string;
  readonly args: string[];
  readonly env: Map<string, string>;
}

const DYNAMIC_VERSION = 'xp-dyn-drv';

/**
 * Reads a `.drv` file.
 * @param path only names the file in errors
 * @throws NixError NIX_BAD_DERIVATION, with the byte offset
 */
export function parseDerivation(bytes: Uint8Array, path = 'the derivation'): Derivation {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new AtermReader(buffer, isAscii(buffer), path);
  const dynamicInputs = readStart(reader) ? new Map<string, ReadonlyMap<string, DynamicInput>>() : undefined;

  const outputs = new Map<string, DerivationOutput>();
  reader.list(() => {
    reader.expect('(');
    const name = reader.string();
    reader.expect(',');
    const path = reader.string();
    reader.expect(',');
    const hashAlgo = reader.string();
    reader.expect(',');
    const hash = reader.string();
    reader.expect(')');
    if (path !== '' && !isStorePath(path)) throw reader.error(`output path ${quote(path)}`);
    put(reader, outputs, name, { path, hashAlgo, hash });
  });
  if (outputs.size === 0) throw reader.error('no outputs');
  reader.expect(',');
  const inputDrvs = readInputs(reader, dynamicInputs);
  reader.expect(',');
  const inputSrcs = reader.list(() => {
    const source = reader.string();
    if (!isStorePath(source)) throw reader.error(`input ${quote(source)}`);
    return source;
  });
  reader.expect(',');
  const system = reader.string();
  reader.expect(',');
  const builder = reader.string();
  reader.expect(',');
  const args = reader.strings();
  reader.expect(',');
  const env = new Map<string, string>();
  reader.list(() => {
    reader.expect('(');
    const name = reader.string();
    reader.expect(',');
    put(reader, env, name, reader.string());
    reader.expect(')');
  });
  reader.expect(')');
  if (!reader.atEnd) throw reader.error('bytes after the end');
  return {
    outputs,
    inputDrvs,
    ...(dynamicInputs === undefined ? {} : { dynamicInputs }),
    inputSrcs,
    system,
    builder,
    args,
    env,
  };
}

/** Writes a `.drv` file: for every derivation Nix wrote, the bytes that were parsed. */
export function printDerivation(drv: Derivation): Uint8Array {
  const outputs = [...drv.outputs].map(
    ([name, output]) => `(${[name, output.path, output.hashAlgo, output.hash].map(printString).join(',')})`,
  );
  const inputs = [...drv.inputDrvs].map(([path, names]) => {
    const dynamic = drv.dynamicInputs?.get(path);
    return `(${printString(path)},${dynamic === undefined ? printStrings(names) : printNested(names, dynamic)})`;
  });
  const env = [...drv.env].map(([name, value]) => `(${printString(name)},${printString(value)})`);
  const start = drv.dynamicInputs === undefined ? 'Derive(' : `DrvWithVersion("${DYNAMIC_VERSION}",`;
  const rest = [
    `[${outputs.join(',')}]`,
    `[${inputs.join(',')}]`,
    printStrings(drv.inputSrcs),
    printString(drv.system),
    printString(drv.builder),
    printStrings(drv.args),
    `[${env.join(',')}]`,
  ];
  return printedBytes(`${start}${rest.join(',')})`);
}

/** @returns whether the derivation may have dynamic inputs */
function readStart(reader: AtermReader): boolean {
  if (!reader.sees('DrvWithVersion(')) {
    reader.expect('Derive(');
    return false;
  }
  reader.expect('DrvWithVersion(');
  const version = reader.string();
  if (version !== DYNAMIC_VERSION) throw reader.error(`format version ${quote(version)}, which is unknown,`);
  reader.expect(',');
  return true;
}

function readInputs(
  reader: AtermReader,
  dynamicInputs: Map<string, ReadonlyMap<string, DynamicInput>> | undefined,
): Map<string, string[]> {
  const inputs = new Map<string, string[]>();
  reader.list(() => {
    reader.expect('(');
    const path = reader.string();
    if (!isDerivationPath(path)) throw reader.error(`input derivation ${quote(path)}`);
    reader.expect(',');
    if (dynamicInputs !== undefined && reader.sees('(')) {
      const node = readNode(reader, 0);
      put(reader, inputs, path, [...node.outputs]);
      dynamicInputs.set(path, node.dynamic);
    } else {
      put(reader, inputs, path, reader.strings());
    }
    reader.expect(')');
  });
  return inputs;
}

/** Derivations that make derivations that make …: deeper than anything real, shallower than our stack. */
const MAX_DYNAMIC_DEPTH = 64;

function readNode(reader: AtermReader, depth: number): DynamicInput {
  if (depth > MAX_DYNAMIC_DEPTH) throw reader.error('dynamic inputs nested too deep');
  if (!reader.sees('(')) return { outputs: reader.strings(), dynamic: new Map(), nested: false };
  reader.expect('(');
  const outputs = reader.strings();
  reader.expect(',');
  const dynamic = new Map<string, DynamicInput>();
  reader.list(() => {
    reader.expect('(');
    const name = reader.string();
    reader.expect(',');
    put(reader, dynamic, name, readNode(reader, depth + 1));
    reader.expect(')');
  });
  reader.expect(')');
  return { outputs, dynamic, nested: true };
}

function printNested(names: readonly string[], dynamic: ReadonlyMap<string, DynamicInput>): string {
  const children = [...dynamic].map(
    ([name, node]) =>
      `(${printString(name)},${node.nested ? printNested(node.outputs, node.dynamic) : printStrings(node.outputs)})`,
  );
  return `(${printStrings(names)},[${children.join(',')}])`;
}

/** A repeated name could not be printed back, and Nix never writes one. */
function put<T>(reader: AtermReader, map: Map<string, T>, name: string, value: T): void {
  if (map.has(name)) throw reader.error(`${quote(name)} a second time`);
  map.set(name, value);
}
